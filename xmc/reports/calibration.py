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

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.evaluation.hits import hit_matrix

__all__ = ["Reliability", "empirical_reliability", "expected_calibration_error", "softmax_reliability"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """Predictions in bins of equal count by what they were said to be, each array [bins]."""

    said: Floats
    """Mean probability (or score) in the bin."""
    true: Floats
    """Share of right predictions."""
    counts: NDArray[np.int64]
    error: float
    """Expected calibration error, a fraction: mean over predictions of |said - true| of their bins."""


def softmax_reliability(
    truth: sp.csr_matrix,
    ids: NDArray[np.integer],
    scores: NDArray[np.floating],
    scale: float,
    *,
    bins: int = 10,
) -> Reliability:
    """Of the first prediction's softmax probability over its list.

    Args:
        truth: CSR [N, L]; stored values other than 0 are positives.
        ids: [N, K] label ids, best first, -1 pads; rows without a prediction are left out.
        scores: [N, K].
        scale: Of the model.
        bins: Of equal count.

    Raises:
        DataError: When the ranking is malformed.
    """
    hits, some = hit_matrix(truth, ids), ids[:, 0] >= 0
    logits = np.where(ids >= 0, scores.astype(np.float64), -np.inf)[some] * scale
    probability = 1.0 / np.exp(logits - logits[:, :1]).sum(axis=1)
    return _binned(probability, probability, hits[some, 0], bins)


def empirical_reliability(
    truth: sp.csr_matrix,
    ids: NDArray[np.integer],
    scores: NDArray[np.floating],
    *,
    k: int = 5,
    bins: int = 15,
) -> Reliability:
    """Share of right predictions by score, over the first k of every query; ``said`` holds mean scores.

    ``error`` is that of the empirical probability, cross-fitted between even and odd rows.

    Args:
        truth: CSR [N, L]; stored values other than 0 are positives.
        ids: [N, K] label ids, best first, -1 pads, which are left out.
        scores: [N, K].
        k: Predictions of a query taken.
        bins: Of equal count.

    Raises:
        DataError: When the ranking is malformed.
    """
    top = ids[:, :k]
    some = top >= 0
    score, right = scores[:, :k][some].astype(np.float64), hit_matrix(truth, top)[some]
    even = np.broadcast_to(np.arange(len(top))[:, None] % 2 == 0, top.shape)[some]
    probability = np.zeros(len(score))
    for fitted, used in ((even, ~even), (~even, even)):
        if fitted.any() and used.any():
            probability[used] = _fitted(score[fitted], right[fitted], bins, score[used])
    shown = _binned(score, score, right, bins)
    return Reliability(
        shown.said, shown.true, shown.counts, expected_calibration_error(probability, right, bins)
    )


def expected_calibration_error(probability: Floats, right: NDArray[np.bool_], bins: int = 10) -> float:
    """Mean of |said - true| over bins of equal count, weighted by count; a fraction.

    Args:
        probability: [n], what each prediction was said to be.
        right: [n], whether it was.
        bins: Of equal count.
    """
    return _binned(probability, probability, right, bins).error


def _binned(key: Floats, said: Floats, right: NDArray[np.bool_], bins: int) -> Reliability:
    of, num_bins = _bin_of(key, bins)
    counts = np.bincount(of, minlength=num_bins)
    safe = np.maximum(counts, 1)
    mean = np.bincount(of, weights=said, minlength=num_bins) / safe
    true = np.bincount(of, weights=right, minlength=num_bins) / safe
    error = float((counts * np.abs(mean - true)).sum() / max(1, counts.sum()))
    kept = counts > 0
    return Reliability(mean[kept], true[kept], counts[kept], error)


def _bin_of(key: Floats, bins: int) -> tuple[NDArray[np.int64], int]:
    edges = _edges(key, bins)
    return np.searchsorted(edges, key, side="right").astype(np.int64), len(edges) + 1


def _fitted(score: Floats, right: NDArray[np.bool_], bins: int, asked: Floats) -> Floats:
    """The share of right predictions in the bin of each asked score, by the bins of ``score``."""
    edges = _edges(score, bins)
    of = np.searchsorted(edges, score, side="right")
    counts = np.bincount(of, minlength=len(edges) + 1)
    share = np.bincount(of, weights=right, minlength=len(edges) + 1) / np.maximum(counts, 1)
    return np.asarray(share[np.searchsorted(edges, asked, side="right")])


def _edges(key: Floats, bins: int) -> Floats:
    """Inner edges of bins of about equal count; equal keys share a bin, so there may be fewer."""
    if not len(key):
        return np.empty(0)
    edges = np.unique(np.quantile(key, np.arange(1, bins) / bins))
    return np.asarray(edges[edges > key.min()])
