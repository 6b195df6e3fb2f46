"""Scores of positives and of each query's hardest negative, out of the retrieved lists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmc.evaluation.hits import Hits

__all__ = ["ScoreDistribution", "score_distribution"]


@dataclass(frozen=True)
class ScoreDistribution:
    """Histograms over shared bins.

    Only retrieved labels have a known score: positives beyond the list's end are counted, not placed.
    """

    edges: NDArray[np.float64]
    """[bins + 1] scores, rising."""
    positives: NDArray[np.float64]
    """[bins], shares of all positives; they add up to 1 less ``beyond``."""
    hardest_negatives: NDArray[np.float64]
    """[bins], shares of the queries that have a negative in their list; they add up to 1."""
    beyond: float
    """The share of the positives that are not in their query's list."""
    depth: int
    """K, the length of a list."""
    separated: float
    """The share of the queries with positives whose best retrieved label is one of them: P@1 over these."""


def score_distribution(
    hits: Hits, ids: NDArray[np.integer], scores: NDArray[np.floating], *, bins: int = 40
) -> ScoreDistribution:
    """Histograms of the retrieved positives' scores and of the best score of a negative in each list.

    Args:
        hits: Of the ranking.
        ids: [N, K] label ids, best first, -1 pads.
        scores: [N, K].
        bins: Of equal width, over all scores shown.
    """
    wrong = ~hits.matrix(ids.shape[1]) & (ids >= 0)
    has_wrong = wrong.any(axis=1)
    negatives = scores[has_wrong, wrong[has_wrong].argmax(axis=1)].astype(np.float64)
    positives = scores[hits.rows, hits.ranks].astype(np.float64)
    shown = np.concatenate([positives, negatives])
    low, high = (float(shown.min()), float(shown.max())) if len(shown) else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1.0, bins + 1)
    num_positives = len(hits.positive_labels)
    return ScoreDistribution(
        edges=edges,
        positives=np.histogram(positives, edges)[0] / max(1, num_positives),
        hardest_negatives=np.histogram(negatives, edges)[0] / max(1, len(negatives)),
        beyond=1.0 - len(positives) / num_positives if num_positives else 0.0,
        depth=ids.shape[1],
        separated=float((hits.ranks == 0).sum()) / max(1, int((hits.num_positives > 0).sum())),
    )
