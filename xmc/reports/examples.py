"""Queries with their texts: the truth, and what each system put first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmc.data import Dataset, TextColumn
from xmc.reports.systems import System

__all__ = ["Example", "Prediction", "best_and_worst", "examples"]

_QUERY_CHARACTERS = 300
_LABEL_CHARACTERS = 90
_TRUTH = 8


@dataclass(frozen=True)
class Prediction:
    """A label put forward."""

    text: str
    score: float
    right: bool


@dataclass(frozen=True)
class Example:
    """A query, its positives and the first predictions of each system."""

    row: int
    uid: str
    """Of the query, with its row where another of the split has the same."""
    query: str
    positives: list[str]
    """Texts of up to eight positives, those with the most training points first."""
    num_positives: int
    values: dict[str, float]
    """By system: the metric of this query in percent."""
    predictions: dict[str, list[Prediction]]
    """By system, best first."""

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for JSON."""
        return asdict(self)


def best_and_worst(
    values: NDArray[np.float64],
    num_positives: NDArray[np.int64],
    top_score: NDArray[np.floating],
    count: int,
) -> tuple[list[int], list[int]]:
    """Rows of the best and of the worst queries by a metric; queries without positives are left out.

    Among the best, those with the most positives come first, as they are the hardest to get right; among the
    worst, those whose first prediction has the highest score: most surely wrong. Then by row.

    Args:
        values: [N], the metric, the mean over systems where there are several.
        num_positives: [N].
        top_score: [N], the score of the first prediction.
        count: Most rows of each.
    """
    rows = np.flatnonzero(num_positives > 0)
    best = rows[np.lexsort((rows, -num_positives[rows], -values[rows]))][:count]
    worst = rows[np.lexsort((rows, -top_score[rows], values[rows]))]
    worst = worst[~np.isin(worst, best)][:count]
    return best.tolist(), worst.tolist()


def examples(
    dataset: Dataset,
    split: str,
    systems: Sequence[System],
    values: Sequence[NDArray[np.float64]],
    rows: Sequence[int],
    *,
    k: int = 5,
) -> list[Example]:
    """The texts of some rows.

    Args:
        dataset: Whose texts.
        split: "train" or "test".
        systems: What put labels forward.
        values: For each system [N]: the metric of each query, as fractions.
        rows: Of the split.
        k: Predictions shown of each system.
    """
    truth, labels = dataset.relevance(split), dataset.texts("labels")
    points = np.bincount(dataset.relevance("train").indices, minlength=dataset.num_labels)
    queries, uids = dataset.texts(split), dataset.uids(split)
    shown_uids = {uids[row] for row in rows}
    times = Counter(uid for uid in uids if uid in shown_uids)
    found = []
    for row in rows:
        positives = truth.indices[truth.indptr[row] : truth.indptr[row + 1]]
        shown = positives[np.lexsort((positives, -points[positives]))][:_TRUTH]
        predictions = {system.name: _predictions(system, row, k, labels) for system in systems}
        found.append(
            Example(
                row=int(row),
                uid=uids[row] if times[uids[row]] == 1 else f"{uids[row]} (row {row})",
                query=short(queries[row], _QUERY_CHARACTERS),
                positives=[short(text, _LABEL_CHARACTERS) for text in labels[shown]],
                num_positives=len(positives),
                values={s.name: 100.0 * float(v[row]) for s, v in zip(systems, values, strict=True)},
                predictions=predictions,
            )
        )
    return found


def short(text: str, characters: int) -> str:
    """In one line, and cut with an ellipsis where it is longer."""
    line = " ".join(text.split())
    return line if len(line) <= characters else line[: characters - 1].rstrip() + "…"


def _predictions(system: System, row: int, k: int, labels: TextColumn) -> list[Prediction]:
    ids = system.ids[row, :k]
    ids = ids[ids >= 0]
    right = set(system.hits.ranks[slice(*np.searchsorted(system.hits.rows, (row, row + 1)))].tolist())
    return [
        Prediction(short(text, _LABEL_CHARACTERS), float(system.scores[row, rank]), rank in right)
        for rank, text in enumerate(labels[ids])
    ]
