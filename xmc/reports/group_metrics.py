"""Metrics of groups as sums over queries: ``sum(gained) / sum(whole)`` is a group's metric.

For a group g of labels, with r_ij the j-th prediction of query i and Y_i its positives:

- contribution to P@k: mean over all N queries of (1/k) |{j <= k: r_ij in Y_i and in g}|. The contributions of
  all groups add up to P@k.
- recall@k within g: the truth restricted to g. Mean, over the queries with a positive in g, of
  |{j <= k: r_ij in Y_i and in g}| / |Y_i in g|. The ranking is still over all labels.
- slots of g: the share of the N k first predictions that go to labels of g, right or wrong.

For a group of queries a metric is what it is over those queries alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.evaluation.hits import hit_matrix
from xmc.reports.groups import Groups

__all__ = ["Sums", "label_group_sums", "query_group_sums"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """What each query adds to M ratios: ``gained`` and ``whole`` [N, M]."""

    names: tuple[str, ...]
    gained: Floats
    whole: Floats


def label_group_sums(truth: sp.csr_matrix, ids: NDArray[np.integer], groups: Groups, k: int) -> Sums:
    """Contribution to P@k, recall@k within and slots of each group of labels.

    Args:
        truth: CSR [N, L]; stored values other than 0 are positives.
        ids: [N, K] label ids, best first, -1 pads.
        groups: Of the L labels, G of them.
        k: The cut-off.

    Returns:
        M = 3 G columns named "P", "R" and "slots", G of each.

    Raises:
        DataError: When the ranking is malformed.
    """
    num_groups, num_rows = len(groups.names), len(ids)
    top = ids[:, :k]
    hits = _counts(top, hit_matrix(truth, top), groups)
    slots = _counts(top, top >= 0, groups)
    positives = _positives(truth, groups)
    recall = np.divide(hits, positives, out=np.zeros_like(hits), where=positives > 0)
    names = tuple(name for name in ("P", "R", "slots") for _ in range(num_groups))
    ones = np.ones((num_rows, num_groups))
    return Sums(
        names,
        np.hstack([hits / k, recall, slots / k]),
        np.hstack([ones, (positives > 0).astype(float), ones]),
    )


def query_group_sums(sums: Sums, groups: Groups) -> Sums:
    """The M ratios over each group of queries alone: M columns for the first group, M for the second ...

    Args:
        sums: Over all N queries.
        groups: Of the N queries.
    """
    member = [(groups.of == group).astype(np.float64)[:, None] for group in range(len(groups.names))]
    return Sums(
        sums.names * len(groups.names),
        np.hstack([sums.gained * inside for inside in member]),
        np.hstack([sums.whole * inside for inside in member]),
    )


def _counts(ids: NDArray[np.integer], chosen: NDArray[np.bool_], groups: Groups) -> Floats:
    """How many of a row's chosen labels are in each group: float64 [N, G]."""
    num_groups = len(groups.names)
    rows, columns = np.nonzero(chosen)
    cells = rows * num_groups + groups.of[ids[rows, columns]]
    counts = np.bincount(cells, minlength=len(ids) * num_groups)
    return counts.reshape(len(ids), num_groups).astype(np.float64)


def _positives(truth: sp.csr_matrix, groups: Groups) -> Floats:
    """The positives of each row in each group: float64 [N, G]."""
    num_rows, num_groups = truth.shape[0], len(groups.names)
    kept = truth.data != 0
    rows = np.repeat(np.arange(num_rows, dtype=np.int64), np.diff(truth.indptr))[kept]
    counts = np.bincount(rows * num_groups + groups.of[truth.indices[kept]], minlength=num_rows * num_groups)
    return counts.reshape(num_rows, num_groups).astype(np.float64)
