"""Row-wise RMSProp: a fading mean of squared gradients for each row of a table."""

from __future__ import annotations

import torch
from torch import Tensor

from xmc.training.learned.optimisers.row_optimiser import TouchedRows, subtract_rows_

__all__ = ["RowRMSProp", "row_rmsprop_"]

DECAY = 0.999
EPSILON = 1e-12


@torch.no_grad()
def row_rmsprop_(table: Tensor, squares: Tensor, steps: Tensor, touched: TouchedRows, rate: float) -> None:
    """Take one step on some rows of a table, in place, each of about the same length however often it comes.

    ``s_r = 0.999 s_r + 0.001 mean_d g_rd^2`` and ``table[r] -= rate * g_r / sqrt(s_r / (1 - 0.999^t_r))``,
    where t_r counts the steps of row r: Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1) without a first
    moment, with one second moment a row instead of one a component, and with the bias correction by the row's
    own count, so that a row that comes late begins as the others did.

    Args:
        table: [R, D].
        squares: [R] float32, fading means of squared gradients.
        steps: [R] float32, how often each row was touched.
        touched: The rows and their gradients.
        rate: How far a component moves, in the root mean square over a row's first step.
    """
    rows = touched.rows
    taken = steps[rows] + 1
    steps[rows] = taken
    mean = squares[rows].lerp_(touched.squares / table.shape[1], 1 - DECAY)
    squares[rows] = mean
    factors = rate * touched.scale / ((mean / (1 - DECAY**taken)).sqrt_() + EPSILON)
    subtract_rows_(table, rows, factors, touched.gradient)


class RowRMSProp:
    """What :func:`row_rmsprop_` keeps of a table [R, D]; see :class:`.row_optimiser.RowRule`."""

    def __init__(self, table: Tensor) -> None:
        self.squares = torch.zeros(len(table), device=table.device)
        self.steps = torch.zeros_like(self.squares)

    def step(self, table: Tensor, touched: TouchedRows, rate: float) -> None:
        """See :class:`.row_optimiser.RowRule`."""
        row_rmsprop_(table, self.squares, self.steps, touched, rate)

    def tensors(self) -> dict[str, Tensor]:
        """The fading mean of squared gradients and the count of steps of each row, each [R]."""
        return {"squares": self.squares, "steps": self.steps}
