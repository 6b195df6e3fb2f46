"""The fused engine apart from any objective's value: slabs, memory, shapes and types of its inputs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import xmc
from tests.largest import LargestStorage
from tests.scoring.fused.interpreted import needs_interpreter, tiny_tiles
from xmc.objectives.statistics.log_partition import LogPartition
from xmc.objectives.statistics.negative_softplus import NegativeSoftplus
from xmc.scoring import Positives, RowStatistic, ScoreInputs, as_positives, reduce_scores
from xmc.scoring.fused.engine import slab_tiles

pytestmark = needs_interpreter


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with tiny_tiles():
        yield


def inputs(num_rows: int, num_labels: int, dimension: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "queries": torch.randn(num_rows, dimension, generator=generator),
        "labels": torch.randn(num_labels, dimension, generator=generator),
        "offsets": torch.randn(num_labels, generator=generator),
        "scale": torch.tensor(1.3),
    }


def results(
    tensors: dict[str, Tensor], pairs: Positives, statistic: RowStatistic | None = None, **options: Any
) -> list[Tensor]:
    """Positives' scores, the statistic, and the gradients of a mixture of both by every input."""
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in tensors.items()}
    scores, value = reduce_scores(
        ScoreInputs(positives=pairs, **leaves, **options), statistic or LogPartition()
    )
    finite = value[torch.isfinite(value)]
    mixture = (scores * torch.linspace(-1, 1, len(scores))).sum() + (finite * torch.arange(len(finite))).sum()
    return [scores, value, *torch.autograd.grad(mixture, list(leaves.values()))]


def assert_as_dense(
    tensors: dict[str, Tensor], pairs: Positives, tolerance: float = 1e-5, **options: Any
) -> None:
    found = results(tensors, pairs, implementation="triton", **options)
    wide = {name: tensor.double() for name, tensor in tensors.items()}
    for number, expected in enumerate(results(wide, pairs, implementation="dense")):
        finite = expected.detach()[torch.isfinite(expected)]
        largest = max([1.0, *finite.abs().flatten().tolist()])
        torch.testing.assert_close(
            found[number].double(), expected, rtol=tolerance, atol=tolerance * largest, msg=f"result {number}"
        )


def pairs_of(num_rows: int, num_labels: int) -> Positives:
    chosen = torch.rand(num_rows, num_labels, generator=torch.Generator().manual_seed(1)) < 0.2
    chosen[:1], chosen[1:2] = True, False
    return as_positives(chosen, num_rows, num_labels)


@pytest.mark.parametrize(
    ("num_rows", "num_labels", "dimension"),
    [(1, 1, 1), (17, 1, 5), (1, 65, 33), (16, 64, 16), (3, 0, 4), (0, 5, 4), (2, 3, 1030)],
)
def test_odd_shapes(num_rows: int, num_labels: int, dimension: int) -> None:
    assert_as_dense(inputs(num_rows, num_labels, dimension), pairs_of(num_rows, num_labels))


@pytest.mark.parametrize("memory_bytes", [1, 20_000, 1 << 28])
def test_any_slab_gives_the_same(memory_bytes: int) -> None:
    assert_as_dense(inputs(18, 101, 5), pairs_of(18, 101), memory_bytes=memory_bytes)


def test_all_labels_masked_is_minus_infinity_and_passes_no_gradient() -> None:
    tensors = inputs(2, 40, 3)
    pairs = as_positives(torch.ones(2, 40, dtype=torch.bool), 2, 40)
    leaves = {name: tensor.requires_grad_() for name, tensor in tensors.items()}
    _, value = reduce_scores(ScoreInputs(positives=pairs, implementation="triton", **leaves), LogPartition())
    assert torch.isneginf(value).all()
    for gradient in torch.autograd.grad(value.exp().sum(), list(leaves.values())):
        assert (gradient == 0).all()


def test_inputs_need_not_be_contiguous_or_of_one_type() -> None:
    tensors, pairs = inputs(18, 40, 6), pairs_of(18, 40)
    strided = dict(tensors)
    strided["queries"] = torch.stack([tensors["queries"]] * 2, 2)[:, :, 0]
    strided["labels"] = torch.cat([tensors["labels"]] * 2, 1)[:, :6]
    strided["offsets"] = torch.stack([tensors["offsets"]] * 2, 1)[:, 0]
    assert not any(strided[name].is_contiguous() for name in ("queries", "labels", "offsets"))
    for found, expected in zip(
        results(strided, pairs, implementation="triton"),
        results(tensors, pairs, implementation="triton"),
        strict=True,
    ):
        assert torch.equal(found, expected)
    mixed = tensors | {"labels": tensors["labels"].bfloat16()}
    assert results(mixed, pairs, implementation="triton")[3].dtype == torch.bfloat16
    assert_as_dense(mixed, pairs, tolerance=5e-3)


def test_labels_of_weight_zero_are_left_out() -> None:
    """As frozen labels are that a step has in its pool: their log weight is minus infinity."""
    tensors, none = inputs(3, 70, 4), as_positives([[], [], []], 3, 70)
    kept = torch.arange(70) % 3 > 0
    log_weights = torch.where(kept, 0.5, -torch.inf)
    fewer = tensors | {"labels": tensors["labels"][kept], "offsets": tensors["offsets"][kept]}
    for statistic in (LogPartition(), NegativeSoftplus()):
        options: dict[str, Any] = {"statistic": statistic, "implementation": "triton"}
        found = results(tensors, none, log_weights=log_weights, **options)[1]
        rest = as_positives([[], [], []], 3, int(kept.sum()))
        expected = results(fewer, rest, log_weights=log_weights[kept], **options)[1]
        torch.testing.assert_close(found, expected)


def test_no_tensor_grows_with_queries_times_labels() -> None:
    with LargestStorage() as largest:
        pairs = as_positives([[row, 319 - row] for row in range(64)], 64, 320)
        results(inputs(64, 320, 2), pairs, implementation="triton", memory_bytes=1)
    assert largest.bytes <= max(4 * 320 * 2, 4 * 64 * 32), "the labels, or the slopes of a tile"


@given(
    num_rows=st.integers(0, 10_000),
    dimension=st.integers(1, 4096),
    slope_bytes=st.sampled_from([2, 4]),
    memory_bytes=st.integers(1, 1 << 40),
)
def test_a_slab_fits_the_budget_unless_it_is_one_tile(
    num_rows: int, dimension: int, slope_bytes: int, memory_bytes: int
) -> None:
    tiles = slab_tiles(num_rows, dimension, 128, slope_bytes, memory_bytes)
    assert tiles >= 1
    assert tiles == 1 or tiles * 128 * (num_rows * slope_bytes + 4 * dimension) <= memory_bytes
    assert (tiles + 1) * 128 * (num_rows * slope_bytes + 4 * dimension) > memory_bytes


@pytest.mark.parametrize(("memory", "most"), [(1 << 20, 0), (1, 1)], ids=["one slab", "many slabs"])
def test_scoring_asks_the_device_for_few_numbers(
    memory: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would make the host wait for a GPU; where there is none, a graph can capture the kernels."""
    asked: list[str] = []
    for name in ("tolist", "item", "__bool__", "__int__", "__float__"):
        original = getattr(Tensor, name)

        def read(self: Tensor, name: str = name, original: Any = original) -> Any:
            caller = sys._getframe(1)
            if Path(caller.f_code.co_filename).is_relative_to(Path(xmc.__file__).parent):
                asked.append(f"{name} in {caller.f_code.co_name}")
            return original(self)

        monkeypatch.setattr(Tensor, name, read)
    tensors, pairs = inputs(5, 70, 6), as_positives([[3, 69], [], [0], [40], [5]], 5, 70)
    leaves = {name: tensor.requires_grad_() for name, tensor in tensors.items()}
    scored = ScoreInputs(positives=pairs, **leaves, implementation="triton", memory_bytes=memory)
    scores, value = reduce_scores(scored, LogPartition())
    torch.autograd.grad(scores.sum() + value.sum(), list(leaves.values()))
    assert len(asked) <= most, asked
