"""What a threshold on scores gives: precision, recall, F1 and coverage at every threshold worth having."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmc.errors import DataError

__all__ = ["Point", "threshold_curve"]

_POINTS = 400


@dataclass(frozen=True)
class Point:
    """Predictions of at least ``score`` kept, all others dropped; shares are fractions."""

    score: float
    precision: float
    """Share of right ones among the kept predictions of all queries together."""
    recall: float
    """Share of the positives of all queries that are kept."""
    f1: float
    """The harmonic mean of the two (micro-F1)."""
    coverage: float
    """Share of queries that keep a prediction."""
    per_query: float
    """Predictions kept of a query, on average."""


def threshold_curve(
    scores: NDArray[np.floating], right: NDArray[np.bool_], kept: NDArray[np.bool_], num_positives: int
) -> list[Point]:
    """The curve by falling threshold: at most 400 points, evenly spread over the log of the predictions kept.

    The threshold of the greatest F1 is among them. Equal scores stay together. A threshold is in the middle
    between the lowest score that it keeps and the highest that it does not: right at the former, whatever
    scores a little less would be dropped, however far it is from the next that was.

    Args:
        scores: [N, K].
        right: [N, K], whether a prediction is right.
        kept: [N, K], whether there is one.
        num_positives: Of the N queries, found or not.

    Raises:
        DataError: When there is no prediction.
    """
    rows = np.broadcast_to(np.arange(len(scores))[:, None], scores.shape)[kept]
    values, hits = scores[kept].astype(np.float64), right[kept]
    if not len(values):
        raise DataError("expected predictions to choose a threshold on, got none")
    order = np.argsort(-values, kind="stable")
    values, hits, rows = values[order], hits[order], rows[order]
    first = np.zeros(len(rows), dtype=bool)
    first[np.unique(rows, return_index=True)[1]] = True
    ends = np.flatnonzero(np.append(values[1:] != values[:-1], True))
    count, found, covered = ends + 1, hits.cumsum()[ends], first.cumsum()[ends]
    precision, recall = found / count, found / max(1, num_positives)
    f1 = 2 * found / (count + max(1, num_positives))
    spread = np.searchsorted(count, np.geomspace(count[0], count[-1], _POINTS - 1))
    chosen = np.unique(np.append(spread.clip(max=len(ends) - 1), f1.argmax()))
    lowest, next_lower = values[ends], np.append(values[ends[1:]], values[-1])
    middle = (lowest + next_lower) / 2
    thresholds = np.where(middle > next_lower, middle, lowest)  # of neighbouring numbers there is no middle
    return [
        Point(
            score=float(thresholds[i]),
            precision=float(precision[i]),
            recall=float(recall[i]),
            f1=float(f1[i]),
            coverage=float(covered[i] / len(scores)),
            per_query=float(count[i] / len(scores)),
        )
        for i in chosen
    ]
