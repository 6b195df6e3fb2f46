"""The metrics of comparisons and reports, query by query, as sums that can be resampled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xmc.data import Dataset, inverse_propensity
from xmc.evaluation.hits import Hits
from xmc.evaluation.per_query import per_query_of
from xmc.reports.group_metrics import Sums
from xmc.reports.systems import System

__all__ = ["measure", "metric_sums", "pick"]

_KS = (1, 3, 5)
_RECALL_KS = (10, 100)


def measure(dataset: Dataset, system: System) -> Sums:
    """P, nDCG, PSP at 1, 3, 5, recall at 10 and 100 (as far as the lists go) and MRR@10 of each query.

    Args:
        dataset: Gives the inverse propensities out of its training rows.
        system: A ranking of one of its splits.

    Raises:
        DataError: When the ranking is malformed.
    """
    constants = dataset.propensity
    weights = inverse_propensity(dataset.relevance("train"), constants.a, constants.b)
    return metric_sums(system.hits, system.ids.shape[1], weights)


def metric_sums(hits: Hits, depth: int, weights: NDArray[np.floating]) -> Sums:
    """As :func:`measure`, of hits in lists of ``depth`` labels and inverse propensities [L]; fractions."""
    names = [f"{kind}@{k}" for kind in ("P", "nDCG", "PSP") for k in _KS]
    names += [f"R@{k}" for k in _RECALL_KS if k <= depth]
    table = per_query_of(hits, [*names, "MRR@10"], weights)
    ones = np.ones(len(table))
    gained = np.stack([table.gained[name] for name in table.names], axis=1)
    whole = np.stack([table.ideal.get(name, ones) for name in table.names], axis=1)
    return Sums(tuple(table.names), gained, whole)


def pick(sums: Sums, names: Sequence[str]) -> Sums:
    """The columns of some metrics, in the order asked for; names that are not there are left out."""
    columns = [sums.names.index(name) for name in names if name in sums.names]
    return Sums(tuple(sums.names[c] for c in columns), sums.gained[:, columns], sums.whole[:, columns])
