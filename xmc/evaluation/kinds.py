"""The metrics by name: which there are, at which cut-offs each is reported, and what P@5 means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from xmc.errors import ConfigError
from xmc.evaluation import row_metrics as rows_of
from xmc.evaluation.hits import Hits

__all__ = [
    "COVERAGE_KINDS",
    "KINDS",
    "MEAN_KINDS",
    "PROPENSITY_KINDS",
    "check_cuts",
    "metric_names",
    "row_terms",
]

MEAN_KINDS: Mapping[str, Callable[[Hits, int], NDArray[np.float64]]] = {
    "P": rows_of.precision,
    "nDCG": rows_of.ndcg,
    "R": rows_of.recall,
    "MRR": rows_of.reciprocal_rank,
    "MAP": rows_of.average_precision,
}
"""Metrics that are means over queries, by the word before the @."""

PROPENSITY_KINDS = ("PSP", "PSnDCG")
"""A sum over queries over a sum over queries; they need inverse propensities."""

COVERAGE_KINDS = ("Cov", "Reach")
"""Properties of all lists together, of distinct labels; no query has one of its own."""

KINDS = ("P", "nDCG", "PSP", "PSnDCG", "R", "MRR", "MAP", "Cov", "Reach")
"""All of them, in the order of a table."""

_AT_KS = ("P", "nDCG", "PSP", "PSnDCG")


def metric_names(kinds: Sequence[str], ks: Sequence[int], recall_ks: Sequence[int]) -> list[str]:
    """Each kind at its cut-offs: P, nDCG, PSP and PSnDCG at ``ks``, the others at ``recall_ks``.

    Raises:
        ConfigError: For a k below 1 or an unknown kind.
    """
    check_cuts(ks)
    check_cuts(recall_ks)
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ConfigError(f"expected kinds of metric among {', '.join(KINDS)}, got {', '.join(unknown)}")
    return [
        f"{kind}@{k}"
        for kind in dict.fromkeys(kinds)
        for k in dict.fromkeys(ks if kind in _AT_KS else recall_ks)
    ]


def check_cuts(ks: Sequence[int]) -> None:
    """Raise a ConfigError when a cut-off is below 1."""
    if any(k < 1 for k in ks):
        raise ConfigError(f"expected cut-offs of 1 and more, got {list(ks)}")


def row_terms(
    hits: Hits, names: Sequence[str], inverse_propensity: NDArray[np.floating] | None
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """What each row gains by metric name, and for PSP and PSnDCG the best it could: dicts of [N] arrays.

    Raises:
        ConfigError: When PSP or PSnDCG is asked for without inverse propensities.
    """
    gained: dict[str, NDArray[np.float64]] = {}
    ideal: dict[str, NDArray[np.float64]] = {}
    best: rows_of.IdealWeights | None = None
    for name in names:
        kind, _, cut = name.partition("@")
        if kind in MEAN_KINDS:
            gained[name] = MEAN_KINDS[kind](hits, int(cut))
            continue
        if inverse_propensity is None:
            raise ConfigError(f"expected inverse propensities for {name}, got none")
        best = best or rows_of.IdealWeights(hits, inverse_propensity)
        if kind == "PSP":
            gained[name] = rows_of.propensity_scored_precision(hits, int(cut), inverse_propensity)
            ideal[name] = best.precision(int(cut))
        else:
            gained[name] = rows_of.propensity_scored_ndcg(hits, int(cut), inverse_propensity)
            ideal[name] = best.ndcg(int(cut))
    return gained, ideal
