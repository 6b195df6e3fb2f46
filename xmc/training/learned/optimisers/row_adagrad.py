"""Row-wise Adagrad: a sum of squared gradients for each row of a table."""

from __future__ import annotations

import torch
from torch import Tensor

from xmc.training.learned.optimisers.row_optimiser import TouchedRows, subtract_rows_

__all__ = ["RowAdagrad", "row_adagrad_"]

EPSILON = 1e-12


@torch.no_grad()
def row_adagrad_(table: Tensor, squares: Tensor, touched: TouchedRows, rate: float) -> None:
    """Take one Adagrad step on some rows of a table, in place, with one accumulator for each row.

    ``squares[r] += |g_r|^2`` and ``table[r] -= rate * g_r / sqrt(squares[r])``: the first step of a row has
    the length ``rate``, later ones shrink. Row-wise accumulators are those of DLRM's embedding tables
    (Mudigere et al., "Software-Hardware Co-design for Fast and Scalable Training of Deep Learning
    Recommendation Models", section 4.1.2), there with the mean instead of the sum over a row.

    Args:
        table: [R, D].
        squares: [R] float32, sums of squared gradients so far.
        touched: The rows and their gradients.
        rate: Length of a row's first step.
    """
    rows = touched.rows
    accumulated = squares[rows] + touched.squares
    squares[rows] = accumulated
    # One number for the row's D components, so the step keeps the gradient's direction.
    factors = rate * touched.scale / (accumulated.sqrt() + EPSILON)
    subtract_rows_(table, rows, factors, touched.gradient, touched.rounding)


class RowAdagrad:
    """What :func:`row_adagrad_` keeps of a table [R, D]; see :class:`.row_optimiser.RowRule`."""

    def __init__(self, table: Tensor) -> None:
        self.squares = torch.zeros(len(table), device=table.device)

    def step(self, table: Tensor, touched: TouchedRows, rate: float) -> None:
        """See :class:`.row_optimiser.RowRule`."""
        row_adagrad_(table, self.squares, touched, rate)

    def tensors(self) -> dict[str, Tensor]:
        """The sum of squared gradients of each row, [R]."""
        return {"squares": self.squares}
