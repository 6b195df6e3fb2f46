"""The passes of the soft threshold in Triton: a histogram per row, and sums of sigmoids; see :class:`Fold`.

The histogram compares each score with each bin, as adding up at an address that the score decides takes
atomics; so it has fewer bins than the one of tiles.
"""

from __future__ import annotations

import triton
import triton.language as tl

from xmc.scoring.statistic import Fold

__all__ = ["HISTOGRAM", "NUM_BINS", "SUMS", "slope"]

NUM_BINS = 32
_BINS = tl.constexpr(NUM_BINS)


@triton.jit
def _weights(log_weights: tl.tensor, own: tl.tensor) -> tl.tensor:
    """[M, N]: 1 at a row's own positives, which are in its pool for certain, and 0 beyond the last label."""
    return tl.where(own, 1.0, tl.exp(log_weights)[None, :])


@triton.jit
def _no_histogram(M: tl.constexpr) -> tl.tensor:
    zeros = tl.full([M, _BINS], 0.0, tl.float32)
    return zeros, tl.full([M], float("-inf"), tl.float32), tl.full([M], float("inf"), tl.float32)


@triton.jit
def _add_to_histogram(
    state: tl.tensor,
    scores: tl.tensor,
    log_weights: tl.tensor,
    own: tl.tensor,
    first: tl.tensor,
    second: tl.tensor,
    constant: tl.tensor,
) -> tl.tensor:
    """Weights in equal bins of width ``second`` from ``first`` on, the largest and the smallest score."""
    histogram, highest, lowest = state
    # These are no scores: beyond the last label, or masked.
    absent = scores == float("-inf")
    weights = tl.where(absent, 0.0, _weights(log_weights, own))
    place = (scores - first[:, None]) / second[:, None]
    # -inf falls into bin 0, with weight 0.
    bins = tl.minimum(tl.maximum(place, 0.0), _BINS - 1.0).to(tl.int32)
    numbers = tl.arange(0, _BINS)
    # A mask for each bin and a sum over labels: no two programs, and no two lanes, add to one address.
    for number in range(0, _BINS):
        counted = tl.sum(tl.where(bins == number, weights, 0.0), 1)
        histogram += tl.where(numbers[None, :] == number, counted[:, None], 0.0)
    highest = tl.maximum(highest, tl.max(scores, 1))
    # The largest score is not changed by what is absent, the smallest would be.
    return histogram, highest, tl.minimum(lowest, tl.min(tl.where(absent, float("inf"), scores), 1))


@triton.jit
def _store_histogram(
    out: tl.tensor, rows: tl.tensor, inside: tl.tensor, num_rows: tl.tensor, state: tl.tensor
) -> None:
    histogram, highest, lowest = state
    places = tl.arange(0, _BINS)[None, :] * num_rows + rows[:, None]
    tl.store(out + places, histogram, mask=inside[:, None])
    tl.store(out + _BINS * num_rows + rows, highest, mask=inside)
    tl.store(out + (_BINS + 1) * num_rows + rows, lowest, mask=inside)


@triton.jit
def _no_sums(M: tl.constexpr) -> tl.tensor:
    zeros = tl.full([M], 0.0, tl.float32)
    return zeros, zeros, zeros, zeros


@triton.jit
def _add_to_sums(
    state: tl.tensor,
    scores: tl.tensor,
    log_weights: tl.tensor,
    own: tl.tensor,
    first: tl.tensor,
    second: tl.tensor,
    constant: tl.tensor,
) -> tl.tensor:
    """Of ``z = constant * score + first``; see :class:`.threshold_search.SigmoidSums`."""
    below, above, count, slopes = state
    scaled = constant * scores + first[:, None]
    # Exponents are never above 0, so nothing overflows; tails apart as in threshold_search.sigmoid_sums.
    small = tl.exp(-tl.abs(scaled))
    tail = small / (1.0 + small)  # the smaller of p and 1 - p
    weights = _weights(log_weights, own)
    right = scaled >= 0.0
    weighted = weights * tail
    below += tl.sum(tl.where(right, 0.0, weighted), 1)
    above += tl.sum(tl.where(right, weighted, 0.0), 1)
    count += tl.sum(tl.where(right, weights, 0.0), 1)
    slopes += tl.sum(weighted * (1.0 - tail), 1)
    return below, above, count, slopes


@triton.jit
def _store_sums(
    out: tl.tensor, rows: tl.tensor, inside: tl.tensor, num_rows: tl.tensor, state: tl.tensor
) -> None:
    below, above, count, slopes = state
    tl.store(out + rows, below, mask=inside)
    tl.store(out + num_rows + rows, above, mask=inside)
    tl.store(out + 2 * num_rows + rows, count, mask=inside)
    tl.store(out + 3 * num_rows + rows, slopes, mask=inside)


@triton.jit
def slope(
    scores: tl.tensor,
    log_weights: tl.tensor,
    own: tl.tensor,
    first: tl.tensor,
    second: tl.tensor,
    constant: tl.tensor,
) -> tl.tensor:
    """``weight * p (1 - p) * second`` with ``p = sigmoid(constant * score + first)``."""
    small = tl.exp(-tl.abs(constant * scores + first[:, None]))
    tail = small / (1.0 + small)
    return _weights(log_weights, own) * tail * (1.0 - tail) * second[:, None]


HISTOGRAM = Fold(_no_histogram, _add_to_histogram, _store_histogram, columns=NUM_BINS + 2, narrow=True)
"""``NUM_BINS`` weights, the largest and the smallest score."""

SUMS = Fold(_no_sums, _add_to_sums, _store_sums, columns=4, narrow=True)
"""The sums of :class:`xmc.objectives.statistics.threshold_search.SigmoidSums`, in its order."""
