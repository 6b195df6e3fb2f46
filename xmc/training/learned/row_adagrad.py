"""Row-wise Adagrad: an optimiser whose cost and state follow the touched rows of a table, not its size.

Adam would keep two more tables and decay them at every step; a label that a step does not score would still
move. Here a row has one number of state, and a row that is not touched stays as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["row_adagrad_"]

EPSILON = 1e-12


def row_adagrad_(table: Tensor, squares: Tensor, rows: Tensor, gradient: Tensor, rate: float) -> None:
    """Take one Adagrad step on some rows of a table, in place, with one accumulator a row.

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
    distinct, place = torch.unique(rows, return_inverse=True)
    total = gradient.new_zeros(len(distinct), gradient.shape[1]).index_add_(0, place, gradient)
    accumulated = squares[distinct] + total.square().sum(1)
    squares[distinct] = accumulated
    table[distinct] -= (rate / (accumulated.sqrt() + EPSILON))[:, None] * total
