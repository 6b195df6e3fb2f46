"""The metrics of comparisons and reports, query by query, as sums that can be resampled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.data import Dataset, inverse_propensity
from xmc.evaluation.per_query import PerQuery, per_query_metrics
from xmc.reports.group_metrics import Sums

__all__ = ["measure", "metric_sums", "pick"]

_KS = (1, 3, 5)
_RECALL_KS = (10, 100)


def measure(dataset: Dataset, split: str, ids: NDArray[np.integer]) -> Sums:
    """P, nDCG, PSP at 1, 3, 5, recall at 10 and 100 (as far as the lists go) and MRR@10 of each query.

    Args:
        dataset: Gives the truth, and the inverse propensities out of its training rows.
        split: "train" or "test".
        ids: [N, K] label ids, best first, -1 pads.

    Raises:
        DataError: When the ranking is malformed.
    """
    constants = dataset.propensity
    weights = inverse_propensity(dataset.relevance("train"), constants.a, constants.b)
    return metric_sums(dataset.relevance(split), ids, weights)


def metric_sums(truth: sp.csr_matrix, ids: NDArray[np.integer], weights: NDArray[np.floating]) -> Sums:
    """As :func:`measure`, of truth CSR [N, L] and inverse propensities [L]; fractions."""
    recalls = [k for k in _RECALL_KS if k <= ids.shape[1]]
    tables = [
        per_query_metrics(truth, ids, _KS, weights, kinds=("P", "nDCG", "PSP")),
        per_query_metrics(truth, ids, recalls, kinds=("R",)),
        per_query_metrics(truth, ids, (10,), kinds=("MRR",)),
    ]
    return _joined([_sums(table) for table in tables if table.names])


def pick(sums: Sums, names: Sequence[str]) -> Sums:
    """The columns of some metrics, in the order asked for; names that are not there are left out."""
    columns = [sums.names.index(name) for name in names if name in sums.names]
    return Sums(tuple(sums.names[c] for c in columns), sums.gained[:, columns], sums.whole[:, columns])


def _sums(table: PerQuery) -> Sums:
    ones = np.ones(len(table))
    gained = np.stack([table.gained[name] for name in table.names], axis=1)
    whole = np.stack([table.ideal.get(name, ones) for name in table.names], axis=1)
    return Sums(tuple(table.names), gained, whole)


def _joined(parts: Sequence[Sums]) -> Sums:
    return Sums(
        tuple(name for part in parts for name in part.names),
        np.hstack([part.gained for part in parts]),
        np.hstack([part.whole for part in parts]),
    )
