"""The sum of softplus in Triton, one number per row; see :class:`Fold`."""

from __future__ import annotations

import triton
import triton.language as tl

from xmc.scoring.statistic import Fold

__all__ = ["FOLD", "slope"]


@triton.jit
def _log_of_one_plus(value: tl.tensor) -> tl.tensor:
    """``log(1 + value)`` for 0 <= value <= 1, to float32 precision also where value is almost 0.

    ``2 artanh(value / (2 + value))`` by its series, whose argument is at most 1/3.
    """
    # log(1 + v) = log((1 + r) / (1 - r)) = 2 artanh(r) for r = v / (2 + v). The series is relative to r, so a
    # small v keeps its digits, which 1 + v in float32 would drop.
    ratio = value / (2.0 + value)
    square = ratio * ratio
    series = 1.0 / 13 + square * (1.0 / 15)
    series = 1.0 / 11 + square * series
    series = 1.0 / 9 + square * series
    series = 1.0 / 7 + square * series
    series = 1.0 / 5 + square * series
    series = 1.0 / 3 + square * series
    return 2.0 * ratio * (1.0 + square * series)


@triton.jit
def _start(M: tl.constexpr) -> tl.tensor:
    return (tl.full([M], 0.0, tl.float32),)


@triton.jit
def _add(
    state: tl.tensor,
    scores: tl.tensor,
    log_weights: tl.tensor,
    own: tl.tensor,
    first: tl.tensor,
    second: tl.tensor,
    constant: tl.tensor,
) -> tl.tensor:
    # max(s, 0) + log(1 + exp(-|s|)), in which exp is at most 1; at -inf, masked or beyond the last label, 0.
    loss = tl.maximum(scores, 0.0) + _log_of_one_plus(tl.exp(-tl.abs(scores)))
    return (state[0] + tl.sum(loss * tl.exp(log_weights)[None, :], 1),)


@triton.jit
def _store(out: tl.tensor, rows: tl.tensor, inside: tl.tensor, num_rows: tl.tensor, state: tl.tensor) -> None:
    tl.store(out + rows, state[0], mask=inside)


@triton.jit
def slope(
    scores: tl.tensor,
    log_weights: tl.tensor,
    own: tl.tensor,
    first: tl.tensor,
    second: tl.tensor,
    constant: tl.tensor,
) -> tl.tensor:
    """``weight * sigmoid(score) * second``."""
    # exp(-score) may be inf, for a masked score or one far below 0: the slope is 0 then.
    return tl.exp(log_weights)[None, :] * second[:, None] / (1.0 + tl.exp(-scores))


FOLD = Fold(_start, _add, _store, columns=1)
"""The sum of ``weight * softplus(score)``."""
