from __future__ import annotations

import math

import torch

from xmc.distributed import World
from xmc.training.learned.optimisers.row_adagrad import RowAdagrad, row_adagrad_


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


class Table:
    """A table of which rows were read with a gradient of one everywhere."""

    def __init__(self) -> None:
        self.table = torch.ones(5, 2)
        self.read: list[tuple[torch.Tensor, torch.Tensor]] = []

    def reads(self, *rows: int) -> None:
        leaf = self.table[list(rows)].requires_grad_()
        leaf.sum().backward()
        self.read.append((torch.tensor(rows), leaf))


def test_batches_of_a_step_add_up_and_what_was_forgotten_does_not() -> None:
    table = Table()
    optimiser = RowAdagrad(table, 0.4)
    table.reads(3)
    optimiser.zero_grad()
    table.reads(1, 2)
    optimiser.gather(World())
    table.reads(2)
    optimiser.gather(World())
    optimiser.step(0.5)
    # The first step of a row has the length of half the peak rate, whatever its gradient.
    moved = (1 - table.table).norm(dim=1)
    torch.testing.assert_close(moved, torch.tensor([0.0, 0.2, 0.2, 0.0, 0.0]))
    assert optimiser.tensors()["squares"].tolist() == [0.0, 2.0, 8.0, 0.0, 0.0]
    before = table.table.clone()
    optimiser.step(1.0)
    assert torch.equal(table.table, before), "nothing was read since"


def test_goes_on_from_its_tensors() -> None:
    table = Table()
    optimiser = RowAdagrad(table, 0.4)
    optimiser.load({"squares": torch.full((5,), 6.0)})
    table.reads(0)
    optimiser.gather(World())
    optimiser.step(1.0)
    torch.testing.assert_close(1 - table.table[0], torch.full((2,), 0.4 / math.sqrt(8)))
