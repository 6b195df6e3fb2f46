"""Scores of positives and of each query's hardest negative, out of the retrieved lists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.evaluation.hits import hit_matrix

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
    truth: sp.csr_matrix, ids: NDArray[np.integer], scores: NDArray[np.floating], *, bins: int = 40
) -> ScoreDistribution:
    """Histograms of the retrieved positives' scores and of the best score of a negative in each list.

    Args:
        truth: CSR [N, L]; stored values other than 0 are positives.
        ids: [N, K] label ids, best first, -1 pads.
        scores: [N, K].
        bins: Of equal width, over all scores shown.

    Raises:
        DataError: When the ranking is malformed.
    """
    hits = hit_matrix(truth, ids)
    wrong = ~hits & (ids >= 0)
    has_wrong = wrong.any(axis=1)
    negatives = scores[has_wrong, wrong[has_wrong].argmax(axis=1)].astype(np.float64)
    positives = scores[hits].astype(np.float64)
    shown = np.concatenate([positives, negatives])
    low, high = (float(shown.min()), float(shown.max())) if len(shown) else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1.0, bins + 1)
    num_positives = int((truth.data != 0).sum())
    rows = np.bincount(np.repeat(np.arange(len(ids)), np.diff(truth.indptr))[truth.data != 0], minlength=1)
    return ScoreDistribution(
        edges=edges,
        positives=np.histogram(positives, edges)[0] / max(1, num_positives),
        hardest_negatives=np.histogram(negatives, edges)[0] / max(1, len(negatives)),
        beyond=1.0 - len(positives) / num_positives if num_positives else 0.0,
        depth=ids.shape[1],
        separated=float(hits[:, :1].sum()) / max(1, int((rows > 0).sum())),
    )
