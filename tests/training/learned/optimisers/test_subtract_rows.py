from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import torch

from xmc.training.learned.optimisers import subtract_rows
from xmc.training.learned.optimisers.subtract_rows import (
    _subtract_blocks_,
    _subtract_product_,
    subtract_rows_,
)


@pytest.mark.parametrize("subtract", [subtract_rows_, _subtract_product_, _subtract_blocks_])
def test_rows_are_subtracted(subtract: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """By a product on a CPU and in blocks elsewhere; neither touches other rows."""
    monkeypatch.setattr(subtract_rows, "GPU_ROWS", 500)
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


@pytest.mark.parametrize("num_threads", [2, 3])
def test_threads_give_the_bits_of_one(num_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes a part of the rows; the last part is shorter."""
    generator = torch.Generator().manual_seed(1)
    table = torch.randn(5000, 8, generator=generator)
    rows = torch.randperm(5000, generator=generator)[:1601].sort().values
    factors, gradient = torch.rand(1601, generator=generator), torch.randn(1601, 8, generator=generator)
    alone, shared, parts = table.clone(), table.clone(), []
    _subtract_product_(alone, rows, factors, gradient)
    product = subtract_rows._add_product_
    monkeypatch.setattr(torch, "get_num_threads", lambda: num_threads)
    monkeypatch.setattr(
        subtract_rows, "_add_product_", lambda *given: (parts.append(len(given[1])), product(*given))
    )
    _subtract_product_(shared, rows, factors, gradient)
    assert torch.equal(alone, shared) and not torch.equal(table, shared)
    assert len(parts) == num_threads and sum(parts) == 1601


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = subtract_rows._threads(2)
    assert pool is subtract_rows._threads(2) and pool.submit(int, "3").result() == 3
    child = os.fork()
    if child == 0:
        os._exit(0 if subtract_rows._threads(2) is not pool else 1)
    assert os.waitpid(child, 0)[1] == 0
