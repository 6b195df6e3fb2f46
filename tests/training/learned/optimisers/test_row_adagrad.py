from __future__ import annotations

import math

import torch

from xmc.training.learned.optimisers.row_adagrad import RowAdagrad, row_adagrad_
from xmc.training.learned.optimisers.row_optimiser import TouchedRows


def test_against_a_loop_over_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    table, squares = torch.randn(6, 3, generator=generator), torch.rand(6, generator=generator)
    rows, gradient = torch.tensor([0, 1, 4]), torch.randn(3, 3, generator=generator)
    expected, sums = table.clone(), squares.clone()
    for row, g in zip(rows.tolist(), 0.5 * gradient, strict=True):
        sums[row] += float(g @ g)
        expected[row] -= 0.3 * g / math.sqrt(sums[row])
    row_adagrad_(table, squares, TouchedRows(rows, gradient, 0.5), 0.3)
    torch.testing.assert_close(table, expected)
    torch.testing.assert_close(squares, sums)


def test_the_first_step_of_a_row_has_the_length_of_the_rate() -> None:
    table, squares = torch.zeros(3, 5), torch.zeros(3)
    row_adagrad_(table, squares, TouchedRows(torch.tensor([1]), torch.full((1, 5), 1e-4)), 0.25)
    torch.testing.assert_close(table.norm(dim=1), torch.tensor([0.0, 0.25, 0.0]))


def test_a_zero_gradient_moves_nothing() -> None:
    table, squares = torch.ones(2, 2), torch.zeros(2)
    row_adagrad_(table, squares, TouchedRows(torch.tensor([0]), torch.zeros(1, 2)), 1.0)
    assert torch.equal(table, torch.ones(2, 2))


def test_goes_on_from_its_sums() -> None:
    table = torch.ones(5, 2)
    rule = RowAdagrad(table)
    rule.tensors()["squares"].copy_(torch.full((5,), 6.0))
    rule.step(table, TouchedRows(torch.tensor([0]), torch.ones(1, 2)), 0.4)
    torch.testing.assert_close(1 - table[0], torch.full((2,), 0.4 / math.sqrt(8)))
