"""Row-wise Adagrad: an optimiser whose cost and state follow the touched rows of a table, not its size.

Adam would keep two more tables and decay them at every step; a label that a step does not score would still
move. Here a row has one number of state, and a row that is not touched stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from xmc.distributed import World, all_gather_rows

__all__ = ["RowAdagrad", "RowGradient", "RowTable", "row_adagrad_"]

EPSILON = 1e-12

RowGradient = tuple[Tensor, Tensor]
"""Rows [n] of a table, of all ranks, and the leaf of this rank's shard of them, whose ``.grad`` it is."""


class RowTable(Protocol):
    """A table that is read by rows, and remembers which were read with a gradient."""

    table: Tensor
    read: list[RowGradient]


@torch.no_grad()
def row_adagrad_(table: Tensor, squares: Tensor, rows: Tensor, gradient: Tensor, rate: float) -> None:
    """Take one Adagrad step on some rows of a table, in place, with one accumulator for each row.

    ``squares[r] += |g_r|^2`` and ``table[r] -= rate * g_r / sqrt(squares[r])``: the first step of a row has
    the length ``rate``, later ones shrink. Row-wise accumulators are those of DLRM's embedding tables
    (Mudigere et al., "Software-Hardware Co-design for Fast and Scalable Training of Deep Learning
    Recommendation Models", section 4.1.2), there with the mean instead of the sum over a row.

    Args:
        table: [R, D].
        squares: [R] float32, sums of squared gradients so far.
        rows: [n] int64; a row that comes twice gets the sum of its gradients.
        gradient: [n, D].
        rate: Length of a row's first step.
    """
    # Summed before it is squared: |g + h|^2 is not |g|^2 + |h|^2, and a row takes one step per call.
    distinct, place = torch.unique(rows, return_inverse=True)
    total = gradient.new_zeros(len(distinct), gradient.shape[1]).index_add_(0, place, gradient)
    accumulated = squares[distinct] + total.square().sum(1)
    squares[distinct] = accumulated
    # One number for the row's D components, so the step keeps the gradient's direction.
    table[distinct] -= (rate / (accumulated.sqrt() + EPSILON))[:, None] * total


class RowAdagrad:
    """Row-wise Adagrad of a table [R, D]; see :class:`.optimiser.Optimiser`.

    Args:
        table: What is trained, on the device where it stays.
        peak_rate: Length of a row's first step at the peak of the schedule.
    """

    dense: Sequence[nn.Parameter] = ()

    def __init__(self, table: RowTable, peak_rate: float) -> None:
        self.table, self.peak_rate = table, peak_rate
        self.squares = torch.zeros(len(table.table), device=table.table.device)
        self._gathered: list[tuple[Tensor, Tensor]] = []

    def zero_grad(self) -> None:
        """See :class:`.optimiser.Optimiser`."""
        self.table.read.clear()
        self._gathered.clear()

    def gather(self, world: World) -> None:
        """See :class:`.optimiser.Optimiser`; for each batch one all-gather of the n x D read numbers."""
        for rows, leaf in self.table.read:
            # Every rank takes part in the gather, also where its own leaf got no gradient.
            gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            self._gathered.append((rows, all_gather_rows(gradient, len(rows), world)))
        self.table.read.clear()

    def step(self, factor: float) -> None:
        """See :class:`.optimiser.Optimiser`; a row that no batch read stays as it is, and costs nothing."""
        if not self._gathered:
            return
        rows, gradients = zip(*self._gathered, strict=True)
        rate = self.peak_rate * factor
        row_adagrad_(self.table.table, self.squares, torch.cat(rows), torch.cat(gradients), rate)
        self._gathered.clear()

    def tensors(self) -> dict[str, Tensor]:
        """The sum of squared gradients of each row, [R]."""
        return {"squares": self.squares}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """See :class:`.optimiser.Optimiser`."""
        self.squares.copy_(tensors["squares"])
