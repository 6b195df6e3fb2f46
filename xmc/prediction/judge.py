"""How sure a prediction of an ensemble is, by all that speaks for it: log-odds from several numbers.

The ensemble's own score is moved to 0 to 1 in each list, so that a query that nothing fits has one near 1
too. What tells such a query is how low the model's best score of it is. So no weight may make a prediction
surer because all of the model's scores are lower. And below what the model's best scores come to on the rows
that this was fitted on, of which nothing can be learned, sureness falls as by the model's score alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmc.retrieval.evidence import EVIDENCE

__all__ = ["Judge", "fit_judge"]

_SCORE, _MODEL, _BEST, _SAID, _UNSAID = range(len(EVIDENCE))
_UNSEEN = 0.01
"""Share of the queries with the lowest best scores, which say little of what is below."""

_PENALTY = 0.5
"""Of the squared weights of numbers with a spread of 1, beside the sum of log losses."""


@dataclass(frozen=True)
class Judge:
    """Adds up evidence (`xmc.retrieval.evidence`), each number with a weight."""

    weights: tuple[float, ...]
    """In the order of `EVIDENCE`."""
    least: float = 0.0
    """The model's best score of a query below which the query is unlike those that this was fitted on."""
    fall: float = 0.0
    """By what sureness falls for each 1 that the best score is lower than that."""

    def __post_init__(self) -> None:
        """Refuse the weights of other numbers, with a ValueError."""
        if len(self.weights) != len(EVIDENCE):
            raise ValueError(f"expected {len(EVIDENCE)} weights of {', '.join(EVIDENCE)}, got {self.weights}")

    def __call__(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """How sure [N, k] predictions with evidence [N, k, 5] are; more is surer."""
        sure = np.asarray(evidence @ np.array(self.weights))
        if not self.fall:
            return sure
        return sure - self.fall * np.maximum(0.0, self.least - evidence[..., _BEST])


def fit_judge(evidence: NDArray[np.float64], right: NDArray[np.bool_]) -> Judge:
    """The weights of a logistic regression, none of which rewards less evidence.

    Those of score, model and what classifiers say are 0 or more, and so is that of the model's score and its
    best together; a small penalty on numbers brought to one spread settles those that say the same.

    Args:
        evidence: [n, 5], of predictions side by side with others of their query.
        right: [n], some of which are and some of which are not.
    """
    # The best score counts by what a prediction is behind it, so that the model's weight is that of both.
    behind = evidence.copy()
    if np.ptp(evidence[:, _BEST]) > 0:
        behind[:, _BEST] = evidence[:, _MODEL] - evidence[:, _BEST]
    weights = _logistic(behind, right, free=(_UNSAID,))
    weights[_MODEL] += weights[_BEST]
    weights[_BEST] *= -1
    fall = _logistic(evidence[:, [_MODEL]], right)[0]
    least = float(np.quantile(evidence[:, _BEST], _UNSEEN))
    return Judge(tuple(weights.tolist()), least, float(fall))


def _logistic(
    numbers: NDArray[np.float64], right: NDArray[np.bool_], free: tuple[int, ...] = ()
) -> NDArray[np.float64]:
    """Weights [d] of numbers [n, d], 0 or more but for ``free``; 0 of one that is the same everywhere."""
    from scipy.optimize import minimize

    centre, spread = numbers.mean(axis=0), numbers.std(axis=0)
    varies = spread > 1e-9 * np.maximum(1.0, np.abs(centre))
    scaled = np.where(varies, (numbers - centre) / np.where(varies, spread, 1.0), 0.0)
    signs = np.where(right, 1.0, -1.0)

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, margins = values[:-1], signs * (scaled @ values[:-1] + values[-1])
        wrong = -signs * np.exp(-np.logaddexp(0.0, margins))
        gradient = np.append(wrong @ scaled + 2 * _PENALTY * weights, wrong.sum())
        return float(np.logaddexp(0.0, -margins).sum() + _PENALTY * weights @ weights), gradient

    bounds = [(None if place in free else 0.0, None) for place in range(scaled.shape[1])] + [(None, None)]
    start = np.zeros(scaled.shape[1] + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x[:-1]
    return np.where(varies, found / np.where(varies, spread, 1.0), 0.0)
