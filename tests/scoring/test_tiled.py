"""The memory of tiled scoring, and the choice of tiles; its values are tested with the objectives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from tests.largest import LargestStorage
from xmc.objectives import decoupled_softmax
from xmc.scoring.tiled import scaled_product, tile_width

B, D = 64, 4


def largest_storage(num_labels: int, implementation: str, memory_bytes: int) -> int:
    """Of a forward and backward pass with gradients to queries, labels, scale and offsets."""
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(B, D, generator=generator, requires_grad=True)
    labels = torch.randn(num_labels, D, generator=generator, requires_grad=True)
    offsets, scale = torch.zeros(num_labels, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    positives = [[row, num_labels - 1 - row] for row in range(B)]
    with LargestStorage() as largest:
        loss = decoupled_softmax(
            queries, labels, positives, scale=scale, offsets=offsets, log_weights=torch.zeros(num_labels),
            implementation=implementation, memory_bytes=memory_bytes,
        )  # fmt: skip
        loss.backward()
    return largest.bytes


@pytest.mark.parametrize("memory_bytes", [1, 100_000, 400_000])
def test_no_tensor_grows_with_queries_times_labels(memory_bytes: int) -> None:
    tile = 4 * B * 128
    for num_labels in (2_000, 4_000, 16_000):
        labels_bytes = 4 * num_labels * D
        assert largest_storage(num_labels, "tiled", memory_bytes) <= max(
            labels_bytes, tile, memory_bytes // 2
        )
        assert largest_storage(num_labels, "dense", memory_bytes) >= 4 * B * num_labels  # the measure sees it


def test_scores_that_fit_the_budget_are_kept_in_tiles_too() -> None:
    assert largest_storage(20_000, "tiled", 1 << 30) <= 8 << 20


class Products(TorchDispatchMode):
    """Adds up the multiplications of matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.addmm_):
            left, right = args[-2:]
            self.count += left.shape[0] * left.shape[1] * right.shape[1]
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("asked", "memory_bytes", "expected"),
    [
        (("queries", "labels"), 1, 4),
        (("queries", "labels"), 1 << 20, 3),
        (("queries",), 1, 2),
        ((), 1, 1),
    ],
)
def test_a_step_costs_as_few_products_as_is_said(
    asked: tuple[str, ...], memory_bytes: int, expected: int
) -> None:
    leaves = {name: torch.randn(rows, D) for name, rows in (("queries", B), ("labels", 1000))}
    for name in asked:
        leaves[name].requires_grad_()
    with Products() as products:
        loss = decoupled_softmax(**leaves, positives=[[3]] * B, memory_bytes=memory_bytes)
        if asked:
            loss.backward()
    assert products.count == expected * B * 1000 * D


@given(
    num_rows=st.integers(0, 10_000),
    num_labels=st.integers(0, 10**7),
    element_bytes=st.sampled_from([4, 8]),
    memory_bytes=st.integers(1, 1 << 40),
)
def test_two_tiles_fit_the_budget_unless_they_are_the_narrowest(
    num_rows: int, num_labels: int, element_bytes: int, memory_bytes: int
) -> None:
    width = tile_width(num_rows, num_labels, element_bytes, memory_bytes)
    assert 1 <= width <= max(1, num_labels)
    assert width <= 128 or 2 * num_rows * width * element_bytes <= memory_bytes
    assert width >= min(128, num_labels)


def test_without_a_cache_to_stay_in_the_budget_alone_bounds_a_tile() -> None:
    budget = 256 << 20
    assert 2 * 1024 * 4 * tile_width(1024, 10**7, 4, budget) <= 2 * (8 << 20)
    assert tile_width(1024, 10**7, 4, budget, cache_bytes=budget) == budget // 2 // (1024 * 4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("offsets", [None, torch.tensor([1.0, -2.0])])
def test_scaled_product_accumulates_in_the_type_of_its_output(
    dtype: torch.dtype, offsets: torch.Tensor | None
) -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(3, 1000, generator=generator).to(dtype) for _ in range(2))
    out = torch.full((3, 2), torch.nan)
    found = scaled_product(left, right[:2].T, 5.0, offsets, out)
    expected = 5.0 * left.double() @ right[:2].double().T + (0.0 if offsets is None else offsets.double())
    assert found.data_ptr() == out.data_ptr()
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-3)
