"""The metrics of extreme classification on top-k lists, in the field's de facto conventions.

Every function takes ``truth`` (CSR [N, L], any stored value other than 0 is a positive) and ``ids`` ([N, K]
label ids, best first, -1 pads) and returns a fraction. Rows without positives stay in every mean, as 0. A row
may hold fewer than k predictions: what is missing counts as wrong. Definitions: the extreme classification
repository (http://manikvarma.org/downloads/XC/XMLRepository.html) as its evaluation code applies them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.evaluation.hits import check_ranking, hit_matrix

__all__ = ["mrr_at", "ndcg_at", "precision_at", "psp_at", "ranking_metrics", "recall_at"]

_BLOCK_ROWS = 65_536


def precision_at(truth: sp.csr_matrix, ids: NDArray[np.integer], k: int) -> float:
    """P@k: right predictions among the first k, over k (never over the number of positives)."""
    return float(_precision(hit_matrix(truth, ids), k).mean())


def ndcg_at(truth: sp.csr_matrix, ids: NDArray[np.integer], k: int) -> float:
    """nDCG@k: gain 1 / log2(rank + 1) of each hit, over the best a row with that many positives can have."""
    return float(_ndcg(hit_matrix(truth, ids), _num_positives(truth), k).mean())


def recall_at(truth: sp.csr_matrix, ids: NDArray[np.integer], k: int) -> float:
    """R@k: hits among the first k, over the row's number of positives."""
    return float(_recall(hit_matrix(truth, ids), _num_positives(truth), k).mean())


def mrr_at(truth: sp.csr_matrix, ids: NDArray[np.integer], k: int) -> float:
    """MRR@k: 1 / rank of the first hit among the first k, 0 without one."""
    return float(_reciprocal_rank(hit_matrix(truth, ids), k).mean())


def psp_at(
    truth: sp.csr_matrix, ids: NDArray[np.integer], k: int, inverse_propensity: NDArray[np.floating]
) -> float:
    """PSP@k: precision weighted by inverse propensity [L] over that of the best ranking, a ratio of means.

    Source: Jain, Prabhu, Varma, "Extreme multi-label loss functions for recommendation, tagging, ranking and
    other missing label applications", KDD 2016. 0 when there are no positives at all.
    """
    ideal = _ideal_weight(truth, k, inverse_propensity).sum()
    gained = _weighted_hits(hit_matrix(truth, ids), ids, k, inverse_propensity).sum()
    return float(gained / ideal) if ideal else 0.0


def ranking_metrics(
    truth: sp.csr_matrix,
    ids: NDArray[np.integer],
    inverse_propensity: NDArray[np.floating],
    *,
    ks: Sequence[int] = (1, 3, 5),
    recall_ks: Sequence[int] = (10, 100),
) -> dict[str, float]:
    """The usual table in percent: P@k, nDCG@k, PSP@k for each of ``ks``, R@k for each of ``recall_ks``.

    Works through 65,536 rows at a time, so memory does not grow with N; no Python loop over rows.

    Raises:
        DataError: When the ranking is malformed; the text names the row.
    """
    truth = sp.csr_matrix(truth)
    names = [f"{name}@{k}" for name in ("P", "nDCG", "PSP") for k in ks] + [f"R@{k}" for k in recall_ks]
    gained = dict.fromkeys(names, 0.0)
    whole = dict.fromkeys(names, float(max(1, truth.shape[0])))
    whole.update((f"PSP@{k}", 0.0) for k in ks)
    for start in range(0, truth.shape[0], _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        part, part_ids = truth[rows], ids[rows]
        check_ranking(part_ids, part.shape[0], part.shape[1], first_row=start)
        hits, positives = hit_matrix(part, part_ids, checked=True), _num_positives(part)
        for k in ks:
            gained[f"P@{k}"] += _precision(hits, k).sum()
            gained[f"nDCG@{k}"] += _ndcg(hits, positives, k).sum()
            gained[f"PSP@{k}"] += _weighted_hits(hits, part_ids, k, inverse_propensity).sum()
            whole[f"PSP@{k}"] += _ideal_weight(part, k, inverse_propensity).sum()
        for k in recall_ks:
            gained[f"R@{k}"] += _recall(hits, positives, k).sum()
    return {name: 100.0 * float(gained[name] / whole[name]) if whole[name] else 0.0 for name in names}


def _precision(hits: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    return hits[:, :k].sum(axis=1) / k


def _ndcg(hits: NDArray[np.bool_], num_positives: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    gain = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[1.0], np.cumsum(gain)])[np.minimum(num_positives, k)]
    return hits[:, :k] @ gain[: hits.shape[1]] / ideal


def _recall(hits: NDArray[np.bool_], num_positives: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    return hits[:, :k].sum(axis=1) / np.maximum(num_positives, 1)


def _reciprocal_rank(hits: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    hits = hits[:, :k]
    if not hits.shape[1]:
        return np.zeros(len(hits))
    return hits.any(axis=1) / (hits.argmax(axis=1) + 1.0)


def _weighted_hits(
    hits: NDArray[np.bool_], ids: NDArray[np.integer], k: int, weights: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Per row [N]: the weights of the hits among the first k, over k."""
    return np.where(hits[:, :k], np.asarray(weights)[ids[:, :k]], 0.0).sum(axis=1) / k


def _ideal_weight(truth: sp.csr_matrix, k: int, weights: NDArray[np.floating]) -> NDArray[np.float64]:
    """Per row [N]: the k largest weights among its positives, over k."""
    rows, columns = _positives(truth)
    values = np.asarray(weights, dtype=np.float64)[columns]
    order = np.lexsort((-values, rows))
    counts = np.bincount(rows, minlength=truth.shape[0])
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.bincount(rows, weights=np.where(rank < k, values[order], 0.0), minlength=truth.shape[0]) / k


def _num_positives(truth: sp.csr_matrix) -> NDArray[np.int64]:
    return np.bincount(_positives(truth)[0], minlength=truth.shape[0])


def _positives(truth: sp.csr_matrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and label [P] of every positive, rows ascending."""
    rows = np.repeat(np.arange(truth.shape[0]), np.diff(truth.indptr))
    kept = truth.data != 0
    return rows[kept], truth.indices[kept]
