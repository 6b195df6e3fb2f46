from __future__ import annotations

import torch

from xmc.training.learned.optimisers.lazy_adam import BLOCK, LazyAdam
from xmc.training.learned.optimisers.row_optimiser import TouchedRows


def test_a_row_takes_the_steps_of_an_adam_of_its_own() -> None:
    """Of torch's, which sees the row at those steps alone that touch it."""
    generator = torch.Generator().manual_seed(0)
    count = BLOCK + 5
    table = torch.randn(count, 3, generator=generator)
    alone = [torch.nn.Parameter(row.clone()) for row in table]
    adams = [torch.optim.Adam([row], lr=0.1) for row in alone]
    rule = LazyAdam(table)
    for step in range(4):
        rows = torch.arange(step % 2, count, step + 1)
        gradient = torch.randn(len(rows), 3, generator=generator)
        for row, g in zip(rows.tolist(), gradient, strict=True):
            alone[row].grad = 0.25 * g
            adams[row].step()
        rule.step(table, TouchedRows(rows, gradient, 0.25), 0.1)
    torch.testing.assert_close(table, torch.stack(list(alone)).detach(), atol=1e-5, rtol=1e-5)
    assert set(rule.tensors()) == {"first", "second", "steps"}
