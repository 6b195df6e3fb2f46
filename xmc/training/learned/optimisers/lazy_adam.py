"""Lazy Adam: Adam of the rows that a step touches, each with a count of its own steps."""

from __future__ import annotations

import torch
from torch import Tensor

from xmc.training.learned.optimisers.blocks import GPU_ROWS
from xmc.training.learned.optimisers.row_optimiser import TouchedRows, subtract_rows_

__all__ = ["LazyAdam", "lazy_adam_"]

BETAS = (0.9, 0.999)
EPSILON = 1e-8
# Rows whose moments stay in a CPU core's cache while a dozen passes go over them.
BLOCK = 256


@torch.no_grad()
def lazy_adam_(
    table: Tensor,
    first: Tensor,
    second: Tensor,
    steps: Tensor,
    touched: TouchedRows,
    rate: float,
) -> None:
    """Take one step of Adam on some rows of a table, in place; the others and their moments stay.

    Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1) with the bias correction of a row by the number of
    steps that it has taken: a token that is seen late begins like one that was there from the start. A row
    that is not touched does not go on along its momentum, nor do its moments fade.

    Args:
        table: [R, D].
        first: [R, D], means of gradients.
        second: [R, D], means of squared gradients.
        steps: [R] float32, how often each row was touched.
        touched: The rows and their gradients.
        rate: About how far one component moves.
    """
    rows = touched.rows
    steps[rows] += 1
    taken = steps[rows]
    corrections = 1 - BETAS[0] ** taken, (1 - BETAS[1] ** taken).sqrt()
    block = BLOCK if table.device.type == "cpu" else GPU_ROWS
    parts = [x.split(block) for x in (rows, touched.gradient, *corrections)]
    for chosen, g, of_first, of_second in zip(*parts, strict=True):
        g = g * touched.scale
        mean = first[chosen].lerp_(g, 1 - BETAS[0])
        first.index_copy_(0, chosen, mean)
        square = second[chosen].mul_(BETAS[1]).addcmul_(g, g, value=1 - BETAS[1])
        second.index_copy_(0, chosen, square)
        step = mean.mul_((rate / of_first)[:, None])
        step.div_(square.sqrt_().div_(of_second[:, None]).add_(EPSILON))
        subtract_rows_(table, chosen, torch.ones_like(of_first), step, touched.rounding)


class LazyAdam:
    """What :func:`lazy_adam_` keeps of a table [R, D]; see :class:`.row_optimiser.RowRule`."""

    def __init__(self, table: Tensor) -> None:
        self.first, self.second = (torch.zeros(table.shape, device=table.device) for _ in range(2))
        self.steps = torch.zeros(len(table), device=table.device)

    def step(self, table: Tensor, touched: TouchedRows, rate: float) -> None:
        """See :class:`.row_optimiser.RowRule`."""
        lazy_adam_(table, self.first, self.second, self.steps, touched, rate)

    def tensors(self) -> dict[str, Tensor]:
        """The moments [R, D] and the count of steps [R] of each row."""
        return {"first": self.first, "second": self.second, "steps": self.steps}
