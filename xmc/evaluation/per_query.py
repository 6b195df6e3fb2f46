"""Metrics of every query by itself: what bootstrap intervals, paired tests and segments are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.errors import ConfigError, DataError
from xmc.evaluation.hits import Hits, find_hits
from xmc.evaluation.kinds import MEAN_KINDS, PROPENSITY_KINDS, metric_names, row_terms
from xmc.evaluation.row_blocks import row_blocks

__all__ = ["PerQuery", "per_query_metrics", "per_query_of"]


@dataclass(frozen=True)
class PerQuery:
    """The terms of every metric for each of N queries, as fractions.

    A metric over any multiset of queries S (all, a segment, a bootstrap sample) is

        sum of ``gained[name][S]``  /  sum of ``ideal[name][S]``   for the names in ``ideal`` (PSP, PSnDCG),
        sum of ``gained[name][S]``  /  len(S)                      for all others,

    and 0 where the denominator is 0. Never average PSP or PSnDCG query by query: they are ratios of means.

    Attributes:
        gained: By name ("P@1", "nDCG@5", "R@100", "MRR@10", "MAP@5", "PSP@3", "PSnDCG@3"): float64 [N].
        ideal: For the names of PSP and PSnDCG alone: float64 [N], what the best list of that row would gain.
        num_positives: int64 [N]; a row with 0 is 0 in every metric and counts in every mean.
    """

    gained: dict[str, NDArray[np.float64]]
    ideal: dict[str, NDArray[np.float64]]
    num_positives: NDArray[np.int64]

    @property
    def names(self) -> list[str]:
        """Of the metrics, in the order of the table."""
        return list(self.gained)

    def __len__(self) -> int:
        """Number of queries."""
        return len(self.num_positives)

    def metric(self, name: str, rows: NDArray[np.integer] | NDArray[np.bool_] | None = None) -> float:
        """One metric in percent over ``rows`` (indices, with repeats, or a mask; default all).

        Raises:
            ConfigError: When no such metric was computed.
        """
        if name not in self.gained:
            raise ConfigError(f"expected a metric of {', '.join(self.gained)}, got {name}")
        gained = self.gained[name] if rows is None else self.gained[name][rows]
        if name not in self.ideal:
            return 100.0 * float(gained.sum()) / len(gained) if len(gained) else 0.0
        ideal = float((self.ideal[name] if rows is None else self.ideal[name][rows]).sum())
        return 100.0 * float(gained.sum()) / ideal if ideal else 0.0

    def metrics(self, rows: NDArray[np.integer] | NDArray[np.bool_] | None = None) -> dict[str, float]:
        """All metrics in percent over ``rows``, as `ranking_metrics` gives them over all."""
        return {name: self.metric(name, rows) for name in self.gained}


def per_query_metrics(
    truth: sp.csr_matrix,
    ids: NDArray[np.integer],
    ks: Sequence[int] = (1, 3, 5),
    inverse_propensity: NDArray[np.floating] | None = None,
    *,
    kinds: Sequence[str] | None = None,
) -> PerQuery:
    """Measure every query by itself, at every k of ``ks``.

    Args:
        truth: CSR [N, L]; every stored value other than 0 is a positive.
        ids: [N, K] label ids, best first, -1 pads; k may be larger than K.
        ks: Cut-offs, each at least 1.
        inverse_propensity: [L]; without it PSP and PSnDCG are left out.
        kinds: Some of P, nDCG, R, MRR, MAP, PSP, PSnDCG; default all that can be computed.

    Returns:
        8 bytes per query for each metric and k (16 for PSP and PSnDCG). Memory beyond that does not grow with
        N: at most 16,384 rows are worked on at a time, without a Python loop over rows.

    Raises:
        ConfigError: For a k below 1, an unknown kind, or PSP without inverse propensities.
        DataError: When the ranking is malformed; the text names the row.
    """
    truth = sp.csr_matrix(truth)
    if len(ids) != truth.shape[0]:
        raise DataError(f"expected a ranking of {truth.shape[0]} rows, got {len(ids)}")
    names = metric_names(_kinds(kinds, inverse_propensity), ks, ks)
    blocks = (
        (block, find_hits(truth[block], ids[block], first_row=block.start))
        for block in row_blocks(truth.indptr)
    )
    return _measured(len(ids), blocks, names, inverse_propensity)


def per_query_of(
    hits: Hits, names: Sequence[str], inverse_propensity: NDArray[np.floating] | None = None
) -> PerQuery:
    """As :func:`per_query_metrics`, of hits that were found before: metrics by name, such as "nDCG@5".

    Raises:
        ConfigError: When PSP or PSnDCG is asked for without inverse propensities.
    """
    return _measured(hits.num_rows, hits.blocks(), names, inverse_propensity)


def _measured(
    num_rows: int,
    blocks: Iterable[tuple[slice, Hits]],
    names: Sequence[str],
    inverse_propensity: NDArray[np.floating] | None,
) -> PerQuery:
    gained = {name: np.empty(num_rows) for name in names}
    ideal = {name: np.empty(num_rows) for name in names if name.partition("@")[0] in PROPENSITY_KINDS}
    counts = np.empty(num_rows, dtype=np.int64)
    for rows, hits in blocks:
        counts[rows] = hits.num_positives
        part, best = row_terms(hits, names, inverse_propensity)
        for name, values in part.items():
            gained[name][rows] = values
        for name, values in best.items():
            ideal[name][rows] = values
    return PerQuery(gained, ideal, counts)


def _kinds(kinds: Sequence[str] | None, inverse_propensity: NDArray[np.floating] | None) -> Sequence[str]:
    known = (*MEAN_KINDS, *PROPENSITY_KINDS)
    if kinds is None:
        return known if inverse_propensity is not None else tuple(MEAN_KINDS)
    if unknown := [kind for kind in kinds if kind not in known]:
        raise ConfigError(f"expected kinds of metric among {', '.join(known)}, got {', '.join(unknown)}")
    return kinds
