from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from xmc.encoders.static_modules import _transpose_by_counting, _transpose_by_sorting, bag_of_rows
from xmc.errors import ModelError


def texts(integers: torch.dtype = torch.int32) -> tuple[torch.Tensor, torch.Tensor]:
    """Four texts of 3, 0, 2 and 1 tokens; a token comes twice in one text and again in another."""
    ids = torch.tensor([7, 2, 7, 2, 0, 5], dtype=integers)
    return ids, torch.tensor([0, 3, 3, 5, 6], dtype=integers)


@pytest.mark.parametrize("mode", ["mean", "sum"])
@pytest.mark.parametrize("integers", [torch.int32, torch.int64])
def test_value_and_gradient_are_those_of_a_dense_bag(mode: str, integers: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    ids, offsets = texts(integers)
    table = torch.randn(9, 5, generator=generator).requires_grad_()
    dense = table.detach().clone().requires_grad_()
    slope = torch.randn(4, 5, generator=generator)
    bags = bag_of_rows(table, ids, offsets, mode)
    expected = F.embedding_bag(ids, dense, offsets, mode=mode, include_last_offset=True)
    assert torch.equal(bags, expected) and not bags[1].any()
    (bags * slope).sum().backward()
    (expected * slope).sum().backward()
    assert table.grad.layout is torch.sparse_coo
    assert sorted(set(ids.tolist())) == table.grad._indices()[0].tolist(), "one row for each distinct token"
    torch.testing.assert_close(table.grad.to_dense(), dense.grad)


def test_gradients_of_two_passes_add_up() -> None:
    ids, offsets = texts()
    table = torch.ones(9, 2, requires_grad=True)
    for _ in range(2):
        bag_of_rows(table, ids, offsets, "sum").sum().backward()
    assert table.grad.to_dense()[:, 0].tolist() == [2, 0, 4, 0, 0, 2, 0, 4, 0]


def test_a_bag_of_largest_components_is_refused() -> None:
    with pytest.raises(ModelError, match="mean or sum, got 'max'.*token_optimiser adamw"):
        bag_of_rows(torch.ones(9, 2), *texts(), "max")  # type: ignore[arg-type]


def test_no_text_has_tokens() -> None:
    table = torch.ones(3, 2, requires_grad=True)
    bags = bag_of_rows(table, torch.zeros(0, dtype=torch.int32), torch.zeros(3, dtype=torch.int32))
    bags.sum().backward()
    assert bags.tolist() == [[0, 0], [0, 0]] and not table.grad.to_dense().any()


@pytest.mark.parametrize("transpose", [_transpose_by_counting, _transpose_by_sorting])
def test_the_texts_of_each_token(transpose: Callable[..., tuple[torch.Tensor, ...]]) -> None:
    """By counting on a CPU and by sorting elsewhere; a text stands as often as it has the token, in order."""
    rows, starts, of_token = transpose(*texts())
    assert rows.tolist() == [0, 2, 5, 7] and rows.dtype == torch.int64
    assert starts.tolist() == [0, 1, 3, 4, 6] and of_token.tolist() == [2, 0, 2, 3, 0, 0]
    assert starts.dtype == of_token.dtype, "embedding_bag wants one type"
    rows, starts, of_token = transpose(torch.zeros(0, dtype=torch.int32), torch.zeros(3, dtype=torch.int32))
    assert (len(rows), starts.tolist(), len(of_token)) == (0, [0], 0)
