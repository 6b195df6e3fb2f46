"""What holds for every objective of the catalogue, against loops in Python."""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.distributed.ranks import Ranks
from tests.objectives.batches import Batch, make_batch, oracle_rows
from tests.objectives.functions import FUNCTIONS
from tests.objectives.oracles import CASES, Case
from xmc import objectives
from xmc.distributed import all_gather_rows, current_world, sum_gradients
from xmc.errors import ConfigError
from xmc.objectives import CATALOGUE
from xmc.scoring import LabelShard

EVERY = pytest.mark.parametrize("case", CASES, ids=str)
IMPLEMENTATIONS = pytest.mark.parametrize("implementation", ["dense", "tiled"])
ONE_TILE_A_PASS, KEPT = 1, 1 << 24


def compute(case: Case, batch: Batch, **options: Any) -> Tensor:
    return FUNCTIONS[case.name](
        batch.queries,
        batch.labels,
        batch.positives,
        scale=batch.scale,
        offsets=batch.offsets,
        log_weights=batch.log_weights,
        **case.options,
        **options,
    )


def leaves(batch: Batch, frozen_labels: bool = False) -> tuple[Batch, list[Tensor]]:
    """The batch with everything that can be learned ready for gradients."""
    queries, scale = batch.queries.clone().requires_grad_(), batch.scale.clone().requires_grad_()
    labels = batch.labels.clone().requires_grad_(not frozen_labels)
    offsets = None if batch.offsets is None else batch.offsets.clone().requires_grad_(not frozen_labels)
    made = Batch(queries, labels, batch.positives, scale, offsets, batch.log_weights)
    return made, [t for t in (queries, scale, labels, offsets) if t is not None and t.requires_grad]


def gradients(case: Case, batch: Batch, frozen_labels: bool = False, **options: Any) -> list[Tensor]:
    made, wanted = leaves(batch, frozen_labels)
    return list(torch.autograd.grad(compute(case, made, **options), wanted))


@EVERY
@IMPLEMENTATIONS
@settings(max_examples=8, deadline=None)
@given(
    num_rows=st.integers(1, 6),
    num_labels=st.integers(2, 9),
    dimension=st.integers(1, 5),
    sampled=st.booleans(),
    weighted=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_row_losses_equal_the_loops_for_any_shape(
    case: Case,
    implementation: str,
    num_rows: int,
    num_labels: int,
    dimension: int,
    sampled: bool,
    weighted: bool,
    seed: int,
) -> None:
    batch = make_batch(num_rows, num_labels, dimension, seed=seed, sampled=sampled, weighted=weighted)
    rows = compute(case, batch, implementation=implementation, reduction="none")
    torch.testing.assert_close(rows, oracle_rows(case, batch), rtol=1e-6, atol=1e-8)


@EVERY
@pytest.mark.parametrize(
    # The oracle's own gradients are plain autograd.
    "implementation",
    [pytest.param("dense", marks=pytest.mark.slow), "tiled"],
)
def test_gradients_in_float64(case: Case, implementation: str) -> None:
    batch, wanted = leaves(make_batch(4, 6, seed=1))

    def loss(queries: Tensor, scale: Tensor, labels: Tensor, offsets: Tensor) -> Tensor:
        given = Batch(queries, labels, batch.positives, scale, offsets, batch.log_weights)
        return compute(case, given, implementation=implementation)

    assert torch.autograd.gradcheck(loss, wanted)


@EVERY
@pytest.mark.parametrize("memory_bytes", [ONE_TILE_A_PASS, KEPT])
def test_float32_equals_float64_in_any_tiles(case: Case, memory_bytes: int) -> None:
    batch = make_batch(9, 701, 16, seed=2)
    options = {"implementation": "tiled", "memory_bytes": memory_bytes}
    exact = gradients(case, batch, implementation="dense")
    single = gradients(case, batch.to(torch.float32), **options)
    value = compute(case, batch.to(torch.float32), **options).double()
    torch.testing.assert_close(value, compute(case, batch, implementation="dense"), rtol=1e-5, atol=0)
    for found, expected in zip(single, exact, strict=True):
        assert (found.double() - expected).abs().max() <= 1e-5 * expected.abs().max()


@EVERY
def test_frozen_labels_give_the_same_query_gradient(case: Case) -> None:
    batch = make_batch(5, 400, 4, seed=3)
    both = gradients(case, batch, implementation="tiled")[:2]
    frozen = gradients(case, batch, frozen_labels=True, implementation="tiled", memory_bytes=ONE_TILE_A_PASS)
    for found, expected in zip(frozen, both, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)


@EVERY
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_embeddings_are_scored_in_float32(case: Case, dtype: torch.dtype) -> None:
    batch = make_batch(4, 300, 8, seed=4).to(dtype)
    loss = compute(case, batch)
    assert loss.dtype == torch.float32
    exact = compute(case, batch.to(torch.float64), implementation="dense")
    torch.testing.assert_close(loss.double(), exact, rtol=1e-4, atol=0)
    for gradient in gradients(case, batch):
        assert gradient.dtype == dtype and torch.isfinite(gradient).all()


@EVERY
def test_autocast_changes_nothing(case: Case) -> None:
    batch = make_batch(4, 300, 8, seed=4).to(torch.float32)
    expected, expected_gradients = compute(case, batch), gradients(case, batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(compute(case, batch), expected)
        for found, same in zip(gradients(case, batch), expected_gradients, strict=True):
            assert torch.equal(found, same)


@EVERY
@pytest.mark.parametrize("scale", [0.0, 1.0, 300.0])
@pytest.mark.parametrize("num_labels", [1, 2, 40])
def test_extreme_scores_stay_finite(case: Case, scale: float, num_labels: int) -> None:
    if case.options.get("k") == 1.5 and num_labels == 1:
        return
    batch = make_batch(6, num_labels, 4, seed=5, sampled=False).to(torch.float32)
    signs = torch.sign(batch.queries[:, :1]), torch.sign(batch.labels[:, :1])
    batch = Batch(*signs, batch.positives, torch.tensor(scale), None, None)
    expected = oracle_rows(case, batch)
    for implementation in ("dense", "tiled"):
        rows = compute(case, batch, implementation=implementation, reduction="none")
        torch.testing.assert_close(rows.double(), expected, rtol=1e-4, atol=1e-5)
        for gradient in gradients(case, batch, implementation=implementation):
            assert torch.isfinite(gradient).all()


@EVERY
def test_reductions_are_of_rows(case: Case) -> None:
    batch = make_batch(4, 7)
    rows = compute(case, batch, reduction="none")
    torch.testing.assert_close(compute(case, batch, reduction="sum"), rows.sum())
    torch.testing.assert_close(compute(case, batch, reduction="mean"), rows.mean())


PAGE = (Path(__file__).parents[2] / "docs" / "objectives.md").read_text(encoding="utf-8")
SHARED = set(inspect.signature(FUNCTIONS["decoupled_softmax"]).parameters)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_has_a_row_in_the_docs_with_its_options(name: str) -> None:
    row = re.search(rf"^\| `{name}` \|.*\|([^|]*)\|[^|]*\|$", PAGE, re.MULTILINE)
    assert row, f"docs/objectives.md: expected a row of {name}"
    own = set(inspect.signature(FUNCTIONS[name]).parameters) - SHARED
    assert set(re.findall(r"`(\w+)`", row.group(1))) == own


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_function_the_builder_and_the_module_agree(name: str) -> None:
    """The public signature: what every objective takes, then the builder's own options with its defaults."""
    function, facts = FUNCTIONS[name], CATALOGUE[name]
    builder = inspect.signature(importlib.import_module(facts.module).objective).parameters
    shown = inspect.signature(function).parameters
    assert set(shown) - SHARED == set(builder) and SHARED <= set(shown)
    assert all(shown[option].default == builder[option].default for option in builder)
    assert shown["scale"].default == facts.scale
    module = getattr(objectives, facts.loss_module)
    assert set(inspect.signature(module).parameters) == {"scale", "learn_scale", "implementation", *builder}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_wrong_arguments_are_named(name: str) -> None:
    batch = make_batch(3, 8)
    arguments = batch.queries, batch.labels, batch.positives
    with pytest.raises(ConfigError, match="implementation"):
        FUNCTIONS[name](*arguments, implementation="magic")
    with pytest.raises(ConfigError, match="offsets"):
        FUNCTIONS[name](*arguments, offsets=torch.zeros(5))
    with pytest.raises(ConfigError, match="reduction"):
        FUNCTIONS[name](*arguments, reduction="max")
    with pytest.raises(ConfigError, match="positives"):
        FUNCTIONS[name](batch.queries, batch.labels[:4], batch.positives)


BOUNDS = {1: (0, 13), 2: (0, 1, 13), 3: (0, 8, 8, 13), 4: (0, 1, 5, 12, 13)}


def on_shards(dtype: torch.dtype) -> list[tuple[Tensor, list[Tensor]]]:
    """The loss and the gradients of this rank's part and of the scale, for every case."""
    world = current_world()
    bounds = BOUNDS[world.size]
    start, stop = bounds[world.rank], bounds[world.rank + 1]
    whole = make_batch(5, 13, seed=6).to(dtype)
    first, last = world.shard(5)
    answers = []
    for case in CASES:
        queries = whole.queries[first:last].clone().requires_grad_()
        labels = whole.labels[start:stop].clone().requires_grad_()
        offsets = whole.offsets[start:stop].clone().requires_grad_()
        scale = torch.nn.Parameter(whole.scale.clone())
        batch = Batch(
            all_gather_rows(queries, 5, world),
            labels,
            whole.positives,
            scale,
            offsets,
            whole.log_weights[start:stop],
        )
        loss = compute(case, batch, shard=LabelShard(start, 13, world), memory_bytes=ONE_TILE_A_PASS)
        loss.backward()
        sum_gradients([scale], world)
        answers.append((loss.detach(), [queries.grad, labels.grad, offsets.grad, scale.grad]))
    return answers


@cache
def in_one_process(number: int) -> tuple[Tensor, list[Tensor]]:
    """The loss of a case, and its gradients by queries, scale, labels and offsets."""
    batch = make_batch(5, 13, seed=6)
    return compute(CASES[number], batch), gradients(CASES[number], batch, implementation="dense")


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_shards_give_what_one_process_gives(ranks: Ranks, size: int, dtype: torch.dtype) -> None:
    answers = ranks.run(on_shards, dtype, size=size)
    tolerance = 1e-8 if dtype == torch.float64 else 1e-5
    for number, case in enumerate(CASES):
        value, (grad_queries, grad_scale, grad_labels, grad_offsets) = in_one_process(number)
        parts = [answer[number][1] for answer in answers]
        found = [torch.cat([part[i] for part in parts]) for i in range(3)]
        for rank, answer in enumerate(answers):
            loss = answer[number][0].double()
            assert loss == answers[0][number][0].double(), f"{case}: rank {rank} has another loss"
            torch.testing.assert_close(loss, value, rtol=tolerance, atol=0, msg=str(case))
        expected = [grad_queries, grad_labels, grad_offsets, grad_scale]
        for part, whole in zip([*found, parts[0][3]], expected, strict=True):
            assert (part.double() - whole).abs().max() <= tolerance * whole.abs().max(), str(case)
