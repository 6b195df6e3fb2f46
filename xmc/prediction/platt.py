"""Scores as probabilities by a logistic curve with two parameters.

Platt, "Probabilistic outputs for support vector machines" (1999), with his targets, which keep the curve
finite where scores part right from wrong; fitted by Newton's method with halved steps as in Lin, Lin and
Weng, "A note on Platt's probabilistic outputs for support vector machines" (2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmc.errors import DataError

__all__ = ["Platt", "fit_platt"]

Floats = NDArray[np.float64]

_STEPS, _HALVINGS = 100, 30
_RIDGE = 1e-10
_DONE = 1e-9


@dataclass(frozen=True)
class Platt:
    """Probability ``1 / (1 + exp(-(slope * score + intercept)))`` that a prediction of a score is right."""

    slope: float
    intercept: float

    def __call__(self, scores: NDArray[np.floating]) -> Floats:
        """Probabilities float64, in the shape of ``scores``; that of -inf is 0."""
        logits = self.slope * np.asarray(scores, dtype=np.float64) + self.intercept
        return np.asarray(np.exp(-np.logaddexp(0.0, -logits)))


def fit_platt(scores: NDArray[np.floating], right: NDArray[np.bool_]) -> Platt:
    """The curve of greatest likelihood.

    Args:
        scores: [n].
        right: [n], whether each prediction was right.

    Raises:
        DataError: When none or all are right, which says nothing of scores.
    """
    positives, negatives = int(right.sum()), int((~right).sum())
    if not positives or not negatives:
        raise DataError(
            f"expected right and wrong predictions to fit probabilities on, got {positives} right and "
            f"{negatives} wrong: take more rows"
        )
    centre, spread = float(scores.mean()), float(scores.std()) or 1.0
    x = (np.asarray(scores, dtype=np.float64) - centre) / spread
    target = np.where(right, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.stack([x, np.ones_like(x)])
    weights = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
    value = _loss(weights, design, target)
    for _ in range(_STEPS):
        probability = 1 / (1 + np.exp(-(weights @ design)))
        slope = design @ (probability - target)
        curvature = (design * (probability * (1 - probability))) @ design.T + _RIDGE * np.eye(2)
        step: Any = np.linalg.solve(curvature, slope)
        for _ in range(_HALVINGS):
            moved = _loss(weights - step, design, target)
            if moved <= value:
                break
            step = step / 2
        else:
            break
        weights, change, value = weights - step, value - moved, moved
        if change < _DONE * max(1.0, abs(value)):
            break
    return Platt(float(weights[0] / spread), float(weights[1] - weights[0] * centre / spread))


def _loss(weights: Floats, design: Floats, target: Floats) -> float:
    logits = weights @ design
    return float((np.logaddexp(0.0, logits) - target * logits).sum())
