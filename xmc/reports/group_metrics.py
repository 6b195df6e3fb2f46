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
from numpy.typing import NDArray

from xmc.evaluation.hits import Hits
from xmc.reports.groups import Groups

__all__ = ["Sums", "label_group_sums", "query_group_sums"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """What each query adds to M ratios: ``gained`` and ``whole`` [N, M]."""

    names: tuple[str, ...]
    gained: Floats
    whole: Floats


def label_group_sums(hits: Hits, ids: NDArray[np.integer], groups: Groups, k: int) -> Sums:
    """Contribution to P@k, recall@k within and slots of each group of labels.

    Args:
        hits: Of the ranking.
        ids: [N, K] label ids, best first, -1 pads.
        groups: Of the L labels, G of them.
        k: The cut-off.

    Returns:
        M = 3 G columns named "P", "R" and "slots", G of each.
    """
    num_groups, num_rows = len(groups.names), len(ids)
    shown, filled = hits.ranks < k, np.nonzero(ids[:, :k] >= 0)
    right = _counts(hits.rows[shown], hits.labels[shown], groups, num_rows)
    slots = _counts(filled[0], ids[filled], groups, num_rows)
    positives = _counts(hits.positive_rows, hits.positive_labels, groups, num_rows)
    recall = np.divide(right, positives, out=np.zeros_like(right), where=positives > 0)
    names = tuple(name for name in ("P", "R", "slots") for _ in range(num_groups))
    ones = np.ones((num_rows, num_groups))
    return Sums(
        names,
        np.hstack([right / k, recall, slots / k]),
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


def _counts(rows: NDArray[np.integer], labels: NDArray[np.integer], groups: Groups, num_rows: int) -> Floats:
    """How many of the (row, label) pairs of each row are in each group: float64 [N, G]."""
    num_groups = len(groups.names)
    cells = rows * num_groups + groups.of[labels]
    return (
        np.bincount(cells, minlength=num_rows * num_groups).reshape(num_rows, num_groups).astype(np.float64)
    )
