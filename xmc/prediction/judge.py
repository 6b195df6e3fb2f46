"""How sure a prediction of an ensemble is, by all that speaks for it: log-odds from several numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmc.retrieval.evidence import EVIDENCE

__all__ = ["Judge", "fit_judge"]


@dataclass(frozen=True)
class Judge:
    """Adds up evidence (`xmc.retrieval.evidence`), each number with a weight."""

    weights: tuple[float, ...]
    """In the order of `EVIDENCE`."""

    def __post_init__(self) -> None:
        """Refuse the weights of other numbers, with a ValueError."""
        if len(self.weights) != len(EVIDENCE):
            raise ValueError(f"expected {len(EVIDENCE)} weights of {', '.join(EVIDENCE)}, got {self.weights}")

    def __call__(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """How sure [N, k] predictions with evidence [N, k, 5] are; more is surer."""
        return np.asarray(evidence @ np.array(self.weights))


def fit_judge(evidence: NDArray[np.float64], right: NDArray[np.bool_]) -> Judge:
    """The weights of a logistic regression, with hardly any penalty on numbers brought to one spread.

    Args:
        evidence: [n, 5]; a number that is the same everywhere gets no weight.
        right: [n], some of which are and some of which are not.
    """
    from sklearn.linear_model import LogisticRegression

    centre, spread = evidence.mean(axis=0), evidence.std(axis=0)
    varies = spread > 1e-9 * np.maximum(1.0, np.abs(centre))
    weights = np.zeros(evidence.shape[1])
    if varies.any():
        scaled = (evidence[:, varies] - centre[varies]) / spread[varies]
        fitted = LogisticRegression(C=100.0, max_iter=1_000).fit(scaled, right)
        weights[varies] = fitted.coef_[0] / spread[varies]
    return Judge(tuple(weights.tolist()))
