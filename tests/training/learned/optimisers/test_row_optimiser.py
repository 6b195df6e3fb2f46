from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tests.distributed.ranks import Ranks
from xmc.distributed import World, current_world
from xmc.training.learned.optimisers import row_optimiser
from xmc.training.learned.optimisers.gathered_rows import distinct_rows
from xmc.training.learned.optimisers.row_optimiser import (
    RowOptimiser,
    SparseGradient,
    TouchedRows,
    _subtract_blocks_,
    _subtract_product_,
    subtract_rows_,
)


class Descent:
    """Plain gradient descent by rows, which counts its steps."""

    def __init__(self) -> None:
        self.count = torch.zeros(1)

    def step(self, table: torch.Tensor, touched: TouchedRows, rate: float) -> None:
        self.count += 1
        factors = torch.full((len(touched.rows),), rate * touched.scale)
        subtract_rows_(table, touched.rows, factors, touched.gradient)

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"count": self.count}


def optimiser(**options: object) -> tuple[torch.nn.Parameter, RowOptimiser]:
    parameter = torch.nn.Parameter(torch.ones(5, 2))
    return parameter, RowOptimiser(SparseGradient(parameter), Descent(), 0.5, **options)


def touch(parameter: torch.nn.Parameter, *rows: int) -> None:
    torch.nn.functional.embedding(torch.tensor(rows), parameter, sparse=True).sum().backward()


def test_batches_of_a_step_add_up_and_what_was_forgotten_does_not() -> None:
    parameter, mine = optimiser()
    touch(parameter, 3)
    mine.zero_grad()
    touch(parameter, 1, 2)
    touch(parameter, 2)
    mine.gather(World())
    mine.step(0.5)
    assert parameter[:, 0].tolist() == [1.0, 0.75, 0.5, 1.0, 1.0]
    mine.zero_grad()
    mine.gather(World())
    mine.step(1.0)
    assert parameter[:, 0].tolist() == [1.0, 0.75, 0.5, 1.0, 1.0] and mine.tensors()["count"] == 1


def test_only_what_is_clipped_counts_and_shrinks() -> None:
    parameter, mine = optimiser(clipped=True)
    touch(parameter, 1, 2, 2)
    mine.gather(World())
    assert float(mine.clipped_square()) == pytest.approx(2 + 8)
    mine.shrink(0.5)
    assert float(mine.clipped_square()) == pytest.approx(10 / 4)
    mine.step(1.0)
    assert parameter[:, 0].tolist() == [1.0, 0.75, 0.5, 1.0, 1.0]
    other, free = optimiser()
    touch(other, 1)
    free.gather(World())
    assert free.clipped_square() is None
    free.shrink(0.5)
    free.step(1.0)
    assert other[:, 0].tolist() == [1.0, 0.5, 1.0, 1.0, 1.0]


def test_a_row_decays_when_it_is_touched() -> None:
    parameter, mine = optimiser(decay=0.2)
    touch(parameter, 4)
    mine.gather(World())
    mine.step(0.5)
    torch.testing.assert_close(parameter[:, 0].detach(), torch.tensor([1, 1, 1, 1, 0.9 - 0.25]))


def test_goes_on_from_its_tensors() -> None:
    _, mine = optimiser()
    mine.load({"count": torch.full((1,), 7.0)})
    assert mine.tensors()["count"] == 7


@pytest.mark.parametrize("subtract", [subtract_rows_, _subtract_product_, _subtract_blocks_])
def test_rows_are_subtracted(subtract: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """By a product on a CPU and in blocks elsewhere; neither touches other rows."""
    monkeypatch.setattr(row_optimiser, "GPU_ROWS", 500)
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(3000, 3, generator=generator)
    rows = torch.randperm(3000, generator=generator)[:1100]
    factors, gradient = torch.rand(1100, generator=generator), torch.randn(1100, 3, generator=generator)
    expected = table.double()
    expected[rows] -= factors[:, None].double() * gradient
    others = torch.ones(3000, dtype=torch.bool).index_fill_(0, rows, False)
    before = table.clone()
    subtract(table, rows, factors, gradient)
    torch.testing.assert_close(table, expected.float())
    assert torch.equal(table[others], before[others])


def test_no_row_is_subtracted() -> None:
    table = torch.ones(3, 2)
    subtract_rows_(table, torch.zeros(0, dtype=torch.int64), torch.zeros(0), torch.zeros(0, 2))
    assert torch.equal(table, torch.ones(3, 2))


def leave(parameter: torch.nn.Parameter, rows: list[int], value: float) -> None:
    """A backward pass that leaves a sparse gradient of ``value`` for each time a row is named."""
    torch.nn.functional.embedding(torch.tensor(rows), parameter, sparse=True).backward(
        torch.full((len(rows), parameter.shape[1]), value)
    )


def test_passes_of_a_step_add_up_by_row() -> None:
    parameter = torch.nn.Parameter(torch.zeros(6, 2))
    source = SparseGradient(parameter)
    assert source.gather(World()) is None, "nothing was touched"
    leave(parameter, [4, 1, 4], 1.0)
    leave(parameter, [0, 1], 2.0)
    rows, values = source.gather(World())
    assert rows.tolist() == [0, 1, 4] and values[:, 0].tolist() == [2, 3, 2]
    source.forget()
    assert source.gather(World()) is None


def gathered(rank_rows: list[list[int]]) -> tuple[list[int], list[float]] | None:
    world = current_world()
    parameter = torch.nn.Parameter(torch.zeros(6, 2))
    if rank_rows[world.rank]:
        leave(parameter, rank_rows[world.rank], 1.0 + world.rank)
    found = SparseGradient(parameter).gather(world)
    return None if found is None else (found[0].tolist(), found[1][:, 0].tolist())


def test_ranks_add_up_what_any_of_them_touched(ranks: Ranks) -> None:
    """Also where one touched nothing."""
    assert ranks.run(gathered, [[5, 1], [2, 1, 2]], size=2) == [([1, 2, 5], [3.0, 4.0, 1.0])] * 2
    assert ranks.run(gathered, [[], [3]], size=2) == [([3], [2.0])] * 2
    assert ranks.run(gathered, [[], []], size=2) == [None, None]


def test_rows_that_come_twice_are_summed() -> None:
    rows, total = distinct_rows(torch.tensor([4, 1, 4]), torch.tensor([[1.0], [2.0], [4.0]]))
    assert rows.tolist() == [1, 4] and total.tolist() == [[2.0], [5.0]]
    rows, total = distinct_rows(torch.tensor([1, 4, 4]), torch.tensor([[1.0], [2.0], [4.0]]))
    assert rows.tolist() == [1, 4] and total.tolist() == [[1.0], [6.0]]


def test_rows_that_are_distinct_already_are_not_copied() -> None:
    given, gradient = torch.tensor([1, 4]), torch.tensor([[1.0], [2.0]])
    rows, total = distinct_rows(given, gradient)
    assert rows is given and total is gradient
