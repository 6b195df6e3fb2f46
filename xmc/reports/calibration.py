"""How well scores say how likely a prediction is right.

Two readings of a score as a probability:

- *softmax*: the probability of the first label of a list under a softmax of scale x score over the K labels
  of the list. A query with several positives shares the mass among them, so values below what comes true are
  to be expected there.
- *empirical*: scores of the first k predictions of all queries are cut into bins of equal count, and the
  probability of a score is the share of right predictions in its bin, taken from the other half of the
  queries (even rows for odd ones, odd for even). Needs no scale, and knows no order of scores.

Reliability diagrams and the expected calibration error: Guo, Pleiss, Sun, Weinberger, "On calibration of
modern neural networks" (ICML 2017), section 2; bins of equal count rather than equal width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from xmc.evaluation.hits import Hits

__all__ = [
    "Reliability",
    "cross_fitted_error",
    "empirical_reliability",
    "softmax_reliability",
]

Floats = NDArray[np.float64]
Probability = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: predictions in bins of equal count by their confidence, each array [bins]."""

    confidence: Floats
    """Mean probability of the bin's predictions; in the empirical reading their mean score."""
    accuracy: Floats
    """Share of right predictions, a fraction."""
    counts: NDArray[np.int64]
    """Predictions in the bin."""
    error: float | None
    """Expected calibration error, a fraction: the mean of |confidence - accuracy| over bins, by count. None
    where it cannot be measured: in the empirical reading with predictions in only even or only odd rows."""


def softmax_reliability(
    hits: Hits,
    ids: NDArray[np.integer],
    scores: NDArray[np.floating],
    scale: float,
    *,
    bins: int = 10,
) -> Reliability:
    """Of the first prediction's softmax probability over its list.

    Args:
        hits: Of the ranking.
        ids: [N, K] label ids, best first, -1 pads; rows without a prediction are left out.
        scores: [N, K].
        scale: Of the model.
        bins: Of equal count.
    """
    some = ids[:, 0] >= 0
    logits = np.where(ids >= 0, scores.astype(np.float64), -np.inf)[some] * scale
    # The first logit is the largest, so that no exponential overflows; a pad's is exp(-inf) = 0.
    probability = 1.0 / np.exp(logits - logits[:, :1]).sum(axis=1)
    return _binned(probability, hits.matrix(1)[some, 0], bins)


def empirical_reliability(
    hits: Hits,
    ids: NDArray[np.integer],
    scores: NDArray[np.floating],
    *,
    k: int = 5,
    bins: int = 15,
) -> Reliability:
    """Share of right predictions by score, over the first k of every query; ``confidence`` holds mean scores.

    ``error`` is that of the empirical probability, cross-fitted between even and odd rows.

    Args:
        hits: Of the ranking.
        ids: [N, K] label ids, best first, -1 pads, which are left out.
        scores: [N, K].
        k: Predictions of a query taken.
        bins: Of equal count.
    """
    top = ids[:, :k]
    some = top >= 0
    first, right = scores[:, :k], hits.matrix(top.shape[1])

    def fit(score: Floats, right: NDArray[np.bool_]) -> Probability | None:
        return partial(_fitted, score, right, bins) if len(score) else None

    error = cross_fitted_error(first, right, some, fit, bins)
    return replace(_binned(first[some].astype(np.float64), right[some], bins), error=error)


def cross_fitted_error(
    scores: NDArray[np.floating],
    right: NDArray[np.bool_],
    kept: NDArray[np.bool_],
    fit: Callable[[Floats, NDArray[np.bool_]], Probability | None],
    bins: int = 10,
) -> float | None:
    """The calibration error of a probability fitted on even rows for odd ones, and the other way round.

    Queries are split, not predictions: those of one query share a scale of scores, so a probability that was
    fitted on some of its own predictions would look better than it is on new queries.

    Args:
        scores: [N, K].
        right: [N, K], whether a prediction is right.
        kept: [N, K], whether there is one.
        fit: The probability of scores that some scores and their being right, both [m], come to; None where
            they say nothing of it.
        bins: Of equal count.

    Returns:
        A fraction, of all predictions together; None where one half cannot be fitted.
    """
    score, correct = scores[kept].astype(np.float64), right[kept]
    even = np.broadcast_to(np.arange(len(kept))[:, None] % 2 == 0, kept.shape)[kept]
    probability = np.empty(len(score))
    for fitted, used in ((even, ~even), (~even, even)):
        curve = fit(score[fitted], correct[fitted])
        if curve is None:
            return None
        probability[used] = curve(score[used])
    return _binned(probability, correct, bins).error


def _binned(confidence: Floats, right: NDArray[np.bool_], bins: int) -> Reliability:
    """Confidence and accuracy of each bin that holds a prediction, and the error between the two."""
    edges = _edges(confidence, bins)
    counts, accuracy = _accuracy(confidence, right, edges)
    mean = _sums(confidence, confidence, edges) / np.maximum(counts, 1)
    error = float((counts * np.abs(mean - accuracy)).sum() / max(1, int(counts.sum())))
    kept = counts > 0
    return Reliability(mean[kept], accuracy[kept], counts[kept], error)


def _fitted(score: Floats, right: NDArray[np.bool_], bins: int, asked: Floats) -> Floats:
    """The accuracy in the bin of each asked score, by the bins of ``score``.

    An asked score beyond all of ``score`` is in the first or the last bin. Where there are few of ``score``,
    a bin between two interpolated quantiles may hold none; its accuracy counts as 0.
    """
    edges = _edges(score, bins)
    _, accuracy = _accuracy(score, right, edges)
    return np.asarray(accuracy[_bin_of(asked, edges)])


def _accuracy(score: Floats, right: NDArray[np.bool_], edges: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Predictions in each bin, and the share of right ones: both [bins]."""
    counts = np.bincount(_bin_of(score, edges), minlength=len(edges) + 1)
    return counts, _sums(score, right, edges) / np.maximum(counts, 1)


def _sums(score: Floats, values: NDArray[np.float64] | NDArray[np.bool_], edges: Floats) -> Floats:
    """The sum of ``values`` over the predictions in each bin: [bins]."""
    sums = np.bincount(_bin_of(score, edges), weights=values, minlength=len(edges) + 1)
    return np.asarray(sums, dtype=np.float64)


def _bin_of(score: Floats, edges: Floats) -> NDArray[np.int64]:
    """The bin of each score: an edge belongs to the bin above it."""
    return np.searchsorted(edges, score, side="right")


def _edges(score: Floats, bins: int) -> Floats:
    """Inner edges of bins of about equal count; equal scores share a bin, so there may be fewer.

    Quantiles that fall on a run of equal scores are one edge, and one at the least score would leave the bin
    under it empty.
    """
    if not len(score):
        return np.empty(0)
    edges = np.unique(np.quantile(score, np.arange(1, bins) / bins))
    return np.asarray(edges[edges > score.min()])
