from __future__ import annotations

import math

import torch

from xmc.training.learned.optimisers.row_adagrad import row_adagrad_


def test_against_a_loop_over_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    table, squares = torch.randn(6, 3, generator=generator), torch.rand(6, generator=generator)
    rows, gradient = torch.tensor([4, 1, 4, 0]), torch.randn(4, 3, generator=generator)
    expected, sums = table.clone(), squares.clone()
    for row in range(6):
        mine = [gradient[i] for i in range(4) if rows[i] == row]
        if mine:
            total = torch.stack(mine).sum(0)
            sums[row] += float(total @ total)
            expected[row] -= 0.3 * total / math.sqrt(sums[row])
    row_adagrad_(table, squares, rows, gradient, 0.3)
    torch.testing.assert_close(table, expected)
    torch.testing.assert_close(squares, sums)


def test_the_first_step_of_a_row_has_the_length_of_the_rate() -> None:
    table, squares = torch.zeros(3, 5), torch.zeros(3)
    row_adagrad_(table, squares, torch.tensor([1]), torch.full((1, 5), 1e-4), 0.25)
    torch.testing.assert_close(table.norm(dim=1), torch.tensor([0.0, 0.25, 0.0]))


def test_a_zero_gradient_moves_nothing() -> None:
    table, squares = torch.ones(2, 2), torch.zeros(2)
    row_adagrad_(table, squares, torch.tensor([0]), torch.zeros(1, 2), 1.0)
    assert torch.equal(table, torch.ones(2, 2))
