"""The fused kernels, in Triton's interpreter, against the float64 oracle for every objective they serve."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.distributed.ranks import Ranks
from tests.objectives.batches import Batch, make_batch, oracle_rows
from tests.objectives.oracles import CASES, Case
from tests.objectives.test_catalogue import compute, leaves
from tests.scoring.fused.interpreted import needs_interpreter, tiny_tiles
from xmc.distributed import all_gather_rows, current_world, sum_gradients
from xmc.errors import ConfigError
from xmc.scoring import LabelShard

# NumPy, in which the interpreter computes, says what -inf * 0 is; the kernels set such scores aside.
pytestmark = [needs_interpreter, pytest.mark.filterwarnings("ignore::RuntimeWarning:triton.*")]

SPHERICAL = ("spherical_z_loss", "taylor_softmax", "spherical_softmax", "mean_squared_error")
SERVED = [case for case in CASES if case.name not in SPHERICAL]
EVERY = pytest.mark.parametrize("case", SERVED, ids=str)
STATISTICS = [SERVED[2], SERVED[-3], SERVED[-1]]  # decoupled softmax, cross-entropy, soft top-k: one each


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with tiny_tiles():
        yield


def value_and_gradients(case: Case, batch: Batch, frozen: bool = False, **options: Any) -> list[Tensor]:
    made, wanted = leaves(batch, frozen)
    loss = compute(case, made, **options)
    return [loss.detach(), *torch.autograd.grad(loss, wanted)]


def assert_near_oracle(
    case: Case, batch: Batch, *, loss: float, gradients: float, frozen: bool = False, **options: Any
) -> list[Tensor]:
    """Errors against the float64 oracle on the same inputs, as shares of the largest number.

    Where all of a result cancels, which float32 cannot be nearer to, an error may be as large as that of
    dense scores of the same type, or as four roundings of the largest of all results: dense errs by three.
    """
    found = value_and_gradients(case, batch, frozen, implementation="triton", **options)
    exact = value_and_gradients(case, batch.to(torch.float64), frozen, implementation="dense")
    rounding = 4 * torch.finfo(torch.float32).eps * max(whole.abs().max() for whole in exact)
    for number, (part, whole) in enumerate(zip(found, exact, strict=True)):
        tolerance = gradients if number else loss
        error = (part.double() - whole).abs().max()
        allowed = tolerance * whole.abs().max().clamp_min(1e-3)
        if error > allowed:
            dense = value_and_gradients(case, batch, frozen, implementation="dense")[number]
            allowed = torch.maximum((dense.double() - whole).abs().max(), rounding)
        assert error <= allowed, f"{case}: result {number}, {error} of {whole.abs().max()}"
    return found


@EVERY
@settings(max_examples=2, deadline=None)
@given(
    num_rows=st.integers(1, 20),
    num_labels=st.integers(3, 70),  # two of a batch are equal: of three, not all
    dimension=st.integers(1, 35),
    sampled=st.booleans(),
    weighted=st.booleans(),
    seed=st.integers(0, 1000),
)
@example(num_rows=18, num_labels=70, dimension=20, sampled=True, weighted=True, seed=1)
@example(num_rows=1, num_labels=3, dimension=3, sampled=False, weighted=True, seed=1)
def test_values_and_gradients_for_any_shape(
    case: Case, num_rows: int, num_labels: int, dimension: int, sampled: bool, weighted: bool, seed: int
) -> None:
    batch = make_batch(num_rows, num_labels, dimension, seed=seed, sampled=sampled, weighted=weighted)
    assert_near_oracle(case, batch.to(torch.float32), loss=1e-5, gradients=1e-5, memory_bytes=1)


@EVERY
@pytest.mark.parametrize("seed", [2, 34, 37])
def test_equal_labels_err_by_no_more_than_float32_rounds(case: Case, seed: int) -> None:
    """Gradients of embeddings are then sums of terms that cancel: errors are shares of what does not."""
    batch = make_batch(3, 2, 1, seed=seed, weighted=False).to(torch.float32)
    found = value_and_gradients(case, batch, implementation="triton", memory_bytes=1)
    exact = value_and_gradients(case, batch.to(torch.float64), implementation="dense")
    largest = max(float(whole.abs().max()) for whole in exact)
    for part, whole in zip(found, exact, strict=True):
        assert (part.double() - whole).abs().max() <= 1e-5 * largest


@pytest.mark.parametrize("case", STATISTICS, ids=str)
@pytest.mark.parametrize("dtype", [torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.slow)])
def test_half_precision_is_accumulated_in_float32(case: Case, dtype: torch.dtype) -> None:
    """Losses are as exact as float32's; for gradients slopes are rounded to bfloat16's 8 bits."""
    found = assert_near_oracle(case, make_batch(18, 40, 20, seed=4).to(dtype), loss=1e-4, gradients=2e-2)
    assert found[0].dtype == torch.float32 and found[1].dtype == dtype


@EVERY
@pytest.mark.parametrize(("scale", "num_labels"), [(0.0, 40), (1.0, 1), (300.0, 40)])
def test_extreme_scores_stay_finite(case: Case, scale: float, num_labels: int) -> None:
    batch = make_batch(6, num_labels, 4, seed=5, sampled=False).to(torch.float32)
    signs = torch.sign(batch.queries[:, :1]), torch.sign(batch.labels[:, :1])
    batch = Batch(*signs, batch.positives, torch.tensor(scale), None, None)
    made, wanted = leaves(batch)
    if case.options.get("k") == 1.5 and num_labels == 1:
        with pytest.raises(ConfigError, match="expected k above 0 and below the 1 labels"):
            compute(case, made, implementation="triton")
        return
    rows = compute(case, made, implementation="triton", reduction="none")
    torch.testing.assert_close(rows.detach().double(), oracle_rows(case, batch), rtol=1e-4, atol=1e-5)
    for gradient in torch.autograd.grad(rows.sum(), wanted):
        assert torch.isfinite(gradient).all()


@EVERY
def test_frozen_labels_and_no_offsets(case: Case) -> None:
    batch = make_batch(5, 40, 4, seed=3, sampled=False).to(torch.float32)
    assert_near_oracle(case, batch, loss=1e-5, gradients=1e-5, frozen=True)


BOUNDS = {2: (0, 1, 40), 3: (0, 25, 25, 40)}


def on_shards() -> list[list[Tensor]]:
    """The loss and the gradients of this rank's part and of the scale, for a case of each statistic."""
    world = current_world()
    start, stop = BOUNDS[world.size][world.rank : world.rank + 2]
    whole = make_batch(5, 40, seed=6).to(torch.float32)
    first, last = world.shard(5)
    answers = []
    for case in STATISTICS:
        queries = whole.queries[first:last].clone().requires_grad_()
        labels = whole.labels[start:stop].clone().requires_grad_()
        offsets = whole.offsets[start:stop].clone().requires_grad_()
        scale = torch.nn.Parameter(whole.scale.clone())
        gathered = all_gather_rows(queries, 5, world)
        weights = whole.log_weights[start:stop]
        batch = Batch(gathered, labels, whole.positives, scale, offsets, weights)
        loss = compute(case, batch, shard=LabelShard(start, 40, world), implementation="triton")
        loss.backward()
        sum_gradients([scale], world)
        answers.append([loss.detach(), queries.grad, scale.grad, labels.grad, offsets.grad])
    return answers


@pytest.mark.parametrize("size", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_shards_give_what_one_process_gives(ranks: Ranks, size: int) -> None:
    answers = ranks.run(on_shards, size=size, seconds=120.0)
    for number, case in enumerate(STATISTICS):
        exact = value_and_gradients(case, make_batch(5, 40, seed=6), implementation="dense")
        parts = [answer[number] for answer in answers]
        shared = [parts[0][0], parts[0][2]]
        found = [shared[0], torch.cat([p[1] for p in parts]), shared[1]]
        found += [torch.cat([p[i] for p in parts]) for i in (3, 4)]
        for part, whole in zip(found, exact, strict=True):
            assert (part.double() - whole).abs().max() <= 1e-5 * whole.abs().max(), str(case)
