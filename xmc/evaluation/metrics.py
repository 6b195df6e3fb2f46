"""The metrics of extreme classification on top-k lists, in the field's de facto conventions.

Every function takes ``truth`` (CSR [N, L], any stored value other than 0 is a positive) and ``ids`` ([N, K]
label ids, best first, -1 pads) and returns a fraction. Rows without positives stay in every mean, as 0. A row
may hold fewer than k predictions: what is missing counts as wrong. Definitions: the extreme classification
repository (http://manikvarma.org/downloads/XC/XMLRepository.html) as its evaluation code applies them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.evaluation import row_metrics as rows_of
from xmc.evaluation.hits import Hits
from xmc.evaluation.totals import MetricTotals, walk_hits

__all__ = [
    "coverage_at",
    "map_at",
    "mrr_at",
    "ndcg_at",
    "precision_at",
    "psndcg_at",
    "psp_at",
    "ranking_metrics",
    "recall_at",
]


def precision_at(truth: sp.csr_matrix, ids: NDArray[np.integer], k: int) -> float:
    """P@k: right predictions among the first k, over k (never over the number of positives)."""
    return _mean(truth, ids, lambda hits: rows_of.precision(hits, k))


def ndcg_at(truth: sp.csr_matrix, ids: NDArray[np.integer], k: int) -> float:
    """nDCG@k: gain 1 / log2(rank + 1) of each hit, over the best a row with that many positives can have."""
    return _mean(truth, ids, lambda hits: rows_of.ndcg(hits, k))


def recall_at(truth: sp.csr_matrix, ids: NDArray[np.integer], k: int) -> float:
    """R@k: hits among the first k, over the row's number of positives."""
    return _mean(truth, ids, lambda hits: rows_of.recall(hits, k))


def mrr_at(truth: sp.csr_matrix, ids: NDArray[np.integer], k: int) -> float:
    """MRR@k: 1 / rank of the first hit among the first k, 0 without one."""
    return _mean(truth, ids, lambda hits: rows_of.reciprocal_rank(hits, k))


def map_at(truth: sp.csr_matrix, ids: NDArray[np.integer], k: int) -> float:
    """MAP@k: the precisions at the ranks of the hits among the first k, summed, over min(k, positives)."""
    return _mean(truth, ids, lambda hits: rows_of.average_precision(hits, k))


def psp_at(
    truth: sp.csr_matrix, ids: NDArray[np.integer], k: int, inverse_propensity: NDArray[np.floating]
) -> float:
    """PSP@k: precision weighted by inverse propensity [L] over that of the best ranking, a ratio of means.

    Source: Jain, Prabhu, Varma, "Extreme multi-label loss functions for recommendation, tagging, ranking and
    other missing label applications", KDD 2016. 0 when there are no positives at all.
    """
    return _ratio(truth, ids, f"PSP@{k}", inverse_propensity)


def psndcg_at(
    truth: sp.csr_matrix, ids: NDArray[np.integer], k: int, inverse_propensity: NDArray[np.floating]
) -> float:
    """PSnDCG@k: weighted discounted gain over that of the best ranking, a ratio of means.

    Both sides are divided row by row by the *unweighted* ideal gain of min(k, positives) hits, as the
    repository's evaluation code does; the formula on its page divides by that of k hits.
    """
    return _ratio(truth, ids, f"PSnDCG@{k}", inverse_propensity)


def coverage_at(truth: sp.csr_matrix, ids: NDArray[np.integer], k: int) -> float:
    """Cov@k: distinct labels that are a hit among the first k of any row, over distinct positive labels."""
    return _ratio(truth, ids, f"Cov@{k}", None)


def ranking_metrics(
    truth: sp.csr_matrix,
    ids: NDArray[np.integer],
    inverse_propensity: NDArray[np.floating] | None,
    *,
    ks: Sequence[int] = (1, 3, 5),
    recall_ks: Sequence[int] = (10, 100),
    kinds: Sequence[str] = ("P", "nDCG", "PSP", "R"),
) -> dict[str, float]:
    """The usual table in percent: P@k, nDCG@k, PSP@k for each of ``ks``, R@k for each of ``recall_ks``.

    Works through at most 16,384 rows at a time, so memory does not grow with N; no Python loop over rows.

    Args:
        truth: CSR [N, L].
        ids: [N, K] label ids, best first, -1 pads.
        inverse_propensity: [L]; None where ``kinds`` holds neither PSP nor PSnDCG.
        ks: Cut-offs of P, nDCG, PSP and PSnDCG.
        recall_ks: Cut-offs of R, MRR, MAP, Cov and Reach.
        kinds: Which of those ten metrics, in the order of the result.

    Raises:
        ConfigError: For a k below 1 or an unknown kind.
        DataError: When the ranking is malformed; the text names the row.
    """
    truth = sp.csr_matrix(truth)
    totals = MetricTotals(truth.shape[1], inverse_propensity, ks=ks, recall_ks=recall_ks, kinds=kinds)
    walk_hits(truth, ids, totals.add)
    return totals.metrics()


def _mean(
    truth: sp.csr_matrix, ids: NDArray[np.integer], metric: Callable[[Hits], NDArray[np.float64]]
) -> float:
    total = 0.0

    def add(hits: Hits, _: NDArray[np.integer]) -> None:
        nonlocal total
        total += float(metric(hits).sum())

    walk_hits(truth, ids, add)
    return total / len(ids) if len(ids) else 0.0


def _ratio(
    truth: sp.csr_matrix, ids: NDArray[np.integer], name: str, weights: NDArray[np.floating] | None
) -> float:
    kind, _, k = name.partition("@")
    metrics = ranking_metrics(truth, ids, weights, ks=(int(k),), recall_ks=(int(k),), kinds=(kind,))
    return metrics[name] / 100.0
