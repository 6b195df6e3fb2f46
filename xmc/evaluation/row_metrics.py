"""Each metric of one ranked list, for N lists at once: pure functions of the hits, an [N] array each.

A list shorter than k counts its missing predictions as wrong. A row without positives is 0. Every function is
O(H) or O(P) in hits and positives: none looks at the N x K predictions again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmc.evaluation.hits import Hits

__all__ = [
    "IdealWeights",
    "average_precision",
    "ndcg",
    "precision",
    "propensity_scored_ndcg",
    "propensity_scored_precision",
    "recall",
    "reciprocal_rank",
]

Rows = NDArray[np.float64]


def precision(hits: Hits, k: int) -> Rows:
    """P@k: right predictions among the first k, over k (never over the number of positives)."""
    return hits.sum_by_row(_within(hits, k)) / k


def recall(hits: Hits, k: int) -> Rows:
    """R@k: right predictions among the first k, over the row's positives."""
    return hits.sum_by_row(_within(hits, k)) / np.maximum(hits.num_positives, 1)


def ndcg(hits: Hits, k: int) -> Rows:
    """nDCG@k: gain 1 / log2(rank + 1) of each hit, over the best a row with that many positives can have."""
    return hits.sum_by_row(_within(hits, k) * _discount(hits.ranks)) / _ideal_gain(hits, k)


def reciprocal_rank(hits: Hits, k: int) -> Rows:
    """RR@k: 1 / rank of the first hit among the first k, 0 without one."""
    first = np.diff(hits.rows, prepend=-1) > 0
    return hits.sum_by_row((first & (hits.ranks < k)) / (hits.ranks + 1.0))


def average_precision(hits: Hits, k: int) -> Rows:
    """AP@k: the precision at the rank of each hit among the first k, summed, over min(k, positives).

    So a list whose first min(k, positives) predictions are right has 1. (The AP of trec_eval divides by the
    number of positives at any cut.)
    """
    starts = np.flatnonzero(np.diff(hits.rows, prepend=-1) > 0)
    lengths = np.diff(starts, append=len(hits.rows))
    so_far = np.arange(1, len(hits.rows) + 1) - np.repeat(starts, lengths)
    gained = hits.sum_by_row(_within(hits, k) * so_far / (hits.ranks + 1.0))
    return gained / np.clip(hits.num_positives, 1, k)


def propensity_scored_precision(hits: Hits, k: int, weights: NDArray[np.floating]) -> Rows:
    """The numerator of PSP@k: the inverse propensities [L] of the hits among the first k, summed, over k."""
    return hits.sum_by_row(_within(hits, k) * weights[hits.labels]) / k


def propensity_scored_ndcg(hits: Hits, k: int, weights: NDArray[np.floating]) -> Rows:
    """The numerator of PSnDCG@k: discounted inverse propensities over the *unweighted* ideal gain."""
    gained = hits.sum_by_row(_within(hits, k) * weights[hits.labels] * _discount(hits.ranks))
    return gained / _ideal_gain(hits, k)


class IdealWeights:
    """The denominators of the propensity-scored metrics: what the best list of every row gains.

    The positives are ordered once, by weight descending; then any k costs O(P).

    Args:
        hits: Of N rows.
        weights: Inverse propensities [L].
    """

    def __init__(self, hits: Hits, weights: NDArray[np.floating]) -> None:
        self._hits = hits
        self._rows = hits.positive_rows
        values = np.asarray(weights, dtype=np.float64)[hits.positive_labels]
        self._values = values[np.lexsort((-values, self._rows))]
        ends = np.cumsum(hits.num_positives)
        self._ranks = np.arange(len(values)) - np.repeat(ends - hits.num_positives, hits.num_positives)

    def precision(self, k: int) -> Rows:
        """[N]: the k largest weights among the row's positives, summed, over k."""
        return self._sum(np.where(self._ranks < k, self._values, 0.0)) / k

    def ndcg(self, k: int) -> Rows:
        """[N]: the same discounted by rank, over the unweighted ideal gain."""
        gained = self._sum(np.where(self._ranks < k, self._values * _discount(self._ranks), 0.0))
        return gained / _ideal_gain(self._hits, k)

    def _sum(self, values: Rows) -> Rows:
        sums = np.bincount(self._rows, weights=values, minlength=self._hits.num_rows)
        return np.asarray(sums, dtype=np.float64)


def _within(hits: Hits, k: int) -> Rows:
    return (hits.ranks < k).astype(np.float64)


def _discount(ranks: NDArray[np.int64]) -> Rows:
    return np.asarray(1.0 / np.log2(ranks + 2.0))


def _ideal_gain(hits: Hits, k: int) -> Rows:
    """[N]: the gain of min(k, positives) hits in the first places; 1 for a row without positives."""
    gains = np.cumsum(_discount(np.arange(k)))
    return np.concatenate([[1.0], gains])[np.minimum(hits.num_positives, k)]
