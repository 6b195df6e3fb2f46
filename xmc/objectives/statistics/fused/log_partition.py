"""The log partition function in Triton: a maximum and a sum of exponentials per row; see :class:`Fold`."""

from __future__ import annotations

import triton
import triton.language as tl

from xmc.scoring.statistic import Fold

__all__ = ["FOLD", "slope"]


@triton.jit
def _start(M: tl.constexpr) -> tl.tensor:
    return tl.full([M], float("-inf"), tl.float32), tl.full([M], 0.0, tl.float32)


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
    highest, total = state
    weighted = scores + log_weights[None, :]
    merged = tl.maximum(highest, tl.max(weighted, 1))
    shift = tl.where(merged == float("-inf"), 0.0, merged)  # -inf - -inf is not a number
    total = total * tl.exp(highest - shift) + tl.sum(tl.exp(weighted - shift[:, None]), 1)
    return merged, total


@triton.jit
def _store(out: tl.tensor, rows: tl.tensor, inside: tl.tensor, num_rows: tl.tensor, state: tl.tensor) -> None:
    highest, total = state
    tl.store(out + rows, highest, mask=inside)
    tl.store(out + num_rows + rows, total, mask=inside)


@triton.jit
def slope(
    scores: tl.tensor,
    log_weights: tl.tensor,
    own: tl.tensor,
    first: tl.tensor,
    second: tl.tensor,
    constant: tl.tensor,
) -> tl.tensor:
    """``exp(score + log_weight - first) * second``: the share of the partition function ``exp(first)``."""
    return tl.exp(scores + log_weights[None, :] - first[:, None]) * second[:, None]


FOLD = Fold(_start, _add, _store, columns=2)
"""Maximum and sum of ``exp(score + log_weight - maximum)``."""
