from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from xmc.encoders.text_groups import attend, collect, group_texts, positions, spread

CPU = torch.device("cpu")
HEADS, SIZE = 2, 4


def test_a_group_is_neighbours_of_one_length() -> None:
    groups = group_texts(np.array([5, 5, 3, 5]), CPU)
    assert groups.shapes == [(2, 5), (1, 3), (1, 5)] and groups.sizes == [10, 3, 5]
    assert groups.slots is None and groups.mask is None


def test_few_lengths_are_not_padded() -> None:
    groups = group_texts(np.array([7, 7, 5, 3]), CPU, most=3)
    assert groups.shapes == [(2, 7), (1, 5), (1, 3)] and groups.slots is None


@pytest.mark.parametrize(
    ("longest", "shapes"),
    [
        (20, [(4, 24), (8, 16), (9, 8)]),  # a step of 8
        (60, [(12, 64), (24, 48), (25, 24)]),  # of 24, as 8 and 16 make more groups
    ],
)
def test_many_lengths_are_padded_to_a_few(longest: int, shapes: list[tuple[int, int]]) -> None:
    lengths = np.sort([*range(1, longest + 1), 8])[::-1]
    groups = group_texts(lengths, CPU, most=3)
    assert groups.shapes == shapes and groups.masked == [True] * 3
    assert groups.slots is not None and groups.mask is not None
    assert len(groups.mask) == sum(groups.sizes)
    assert torch.equal(torch.isfinite(groups.mask).nonzero()[:, 0], groups.slots)


def test_texts_of_a_whole_width_have_no_mask() -> None:
    groups = group_texts(np.array([16, 16, 7, 6, 5]), CPU, most=2)
    assert groups.shapes == [(2, 16), (3, 8)] and groups.masked == [False, True]


@pytest.mark.parametrize("most", [None, 1, 2, 3])
def test_attention_is_that_of_each_text_alone(most: int | None) -> None:
    lengths = np.array([19, 12, 12, 7, 3, 1, 1])
    torch.manual_seed(0)
    given = [torch.randn(int(lengths.sum()), HEADS, SIZE, requires_grad=True) for _ in range(3)]
    out = attend(*given, group_texts(lengths, CPU, most), 0.0, None)
    alone = []
    for texts in zip(*(x.split(lengths.tolist()) for x in given), strict=True):
        q, k, v = (x.transpose(0, 1) for x in texts)
        alone.append(scaled_dot_product_attention(q, k, v).transpose(0, 1))
    expected = torch.cat(alone)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-5)
    slopes = torch.randn(out.shape)
    for found, wanted in zip(
        torch.autograd.grad(out, given, slopes), torch.autograd.grad(expected, given, slopes), strict=True
    ):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)


def test_rows_are_spread_and_collected_with_their_gradients() -> None:
    rows = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    slots = torch.tensor([4, 0, 2])
    wide = spread(rows, slots, 6)
    assert torch.equal(wide[slots], rows) and not wide[[1, 3, 5]].any()
    assert torch.equal(collect(wide, slots), rows)
    assert torch.autograd.gradcheck(lambda x: spread(x, slots, 6), rows)
    assert torch.autograd.gradcheck(lambda x: collect(x, slots), wide.detach().requires_grad_())


def test_positions_begin_anew_in_each_text() -> None:
    assert positions(np.array([3, 1, 2])).tolist() == [0, 1, 2, 0, 0, 1]
