"""Fits a calibration on held-out rows: the probabilities of scores, and what thresholds give."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmc.errors import DataError
from xmc.evaluation.hits import Hits
from xmc.prediction.calibration import Calibration
from xmc.prediction.curve import threshold_curve
from xmc.prediction.judge import fit_judge
from xmc.prediction.platt import Platt, fit_platt
from xmc.reports.calibration import cross_fitted_error

__all__ = ["FIRST", "fit_calibration"]

FIRST = 10
"""Predictions of a query that probabilities are fitted on: those that are shown."""


def fit_calibration(
    hits: Hits,
    ids: NDArray[np.integer],
    scores: NDArray[np.floating],
    *,
    model_fingerprint: str,
    num_labels: int,
    rows: str,
    evidence: NDArray[np.float64] | None = None,
) -> Calibration:
    """Fit probabilities on the first 10 predictions of every query, and thresholds on all of them.

    Args:
        hits: Of the ranking.
        ids: [N, K] label ids, best first, -1 pads.
        scores: [N, K].
        model_fingerprint: Of the model that ranked.
        num_labels: L.
        rows: What the rows are, in words.
        evidence: [N, K, 5] of an ensemble, by which its predictions are judged in place of its scores
            (`xmc.retrieval.evidence`).

    Raises:
        DataError: When none or all predictions are right, or scores do not rise with being right.
    """
    kept, right = ids >= 0, hits.matrix(ids.shape[1])
    shown = kept[:, :FIRST]
    judge = None
    if evidence is not None:
        correct = right[:, :FIRST][shown]
        # Of only right or only wrong ones nothing is learned, which the curve says below.
        if correct.any() and not correct.all():
            judge = fit_judge(evidence[:, :FIRST][shown], correct)
            scores = np.where(kept, judge(evidence), -np.inf)
    first, correct = scores[:, :FIRST], right[:, :FIRST]
    curve = fit_platt(first[shown].astype(np.float64), correct[shown])
    if not curve.slope > 0:
        raise DataError(
            f"expected higher scores to be right more often on {rows}, but they are not: a model that is not "
            "trained, or the labels of other data?"
        )
    return Calibration(
        model_fingerprint=model_fingerprint,
        num_labels=num_labels,
        rows=rows,
        num_rows=len(ids),
        depth=ids.shape[1],
        probability=curve,
        calibration_error=cross_fitted_error(first, correct, shown, _fitted),
        curve=threshold_curve(scores, right, kept, int(hits.num_positives.sum())),
        judge=judge,
    )


def _fitted(score: NDArray[np.float64], right: NDArray[np.bool_]) -> Platt | None:
    """The curve of some predictions; None for only right or only wrong ones."""
    return fit_platt(score, right) if right.any() and not right.all() else None
