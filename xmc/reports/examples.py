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

__all__ = ["Example", "Positive", "Prediction", "best_and_worst", "examples", "named"]

_QUERY_CHARACTERS = 300
_LABEL_CHARACTERS = 90
_TRUTH = 5


@dataclass(frozen=True)
class Positive:
    """A right label, and where each system put it."""

    uid: str
    text: str
    """With the uid before it, unless it begins with it: labels of one title are told apart."""
    ranks: dict[str, int | None]
    """By system: its place in the query's list, 1 for the first; None beyond the list's end."""


@dataclass(frozen=True)
class Prediction:
    """A label put forward."""

    uid: str
    text: str
    """As that of a `Positive`."""
    score: float
    right: bool


@dataclass(frozen=True)
class Example:
    """A query, its positives and the first predictions of each system."""

    row: int
    uid: str
    """Of the query, with its row where another of the split has the same."""
    query: str
    positives: list[Positive]
    """Up to five, those with the most training points first."""
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
    truth, labels = dataset.relevance(split), _Labels(dataset.texts("labels"), dataset.uids("labels"))
    points = np.bincount(dataset.relevance("train").indices, minlength=dataset.num_labels)
    queries, uids = dataset.texts(split), dataset.uids(split)
    shown_uids = {uids[row] for row in rows}
    times = Counter(uid for uid in uids if uid in shown_uids)
    found = []
    for row in rows:
        positives = truth.indices[truth.indptr[row] : truth.indptr[row + 1]]
        shown = positives[np.lexsort((positives, -points[positives]))][:_TRUTH]
        predictions = {system.name: _predictions(system, row, k, labels) for system in systems}
        ranks = {system.name: _ranks(system, row) for system in systems}
        found.append(
            Example(
                row=int(row),
                uid=uids[row] if times[uids[row]] == 1 else f"{uids[row]} (row {row})",
                query=short(queries[row], _QUERY_CHARACTERS),
                positives=[
                    Positive(*labels[label], {name: places.get(label) for name, places in ranks.items()})
                    for label in shown.tolist()
                ],
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


def named(uid: str, text: str, characters: int = _LABEL_CHARACTERS) -> str:
    """The text in one line, with the uid before it unless it begins with it."""
    line = " ".join(text.split())
    return short(line if f"{line} ".startswith(f"{uid} ") else f"{uid} {line}", characters)


@dataclass(frozen=True)
class _Labels:
    """Uid and shown text by label id."""

    texts: TextColumn
    uids: Sequence[str]

    def __getitem__(self, label: int) -> tuple[str, str]:
        return self.uids[label], named(self.uids[label], self.texts[label])


def _predictions(system: System, row: int, k: int, labels: _Labels) -> list[Prediction]:
    ids = system.ids[row, :k]
    right = set(_ranks(system, row))
    return [
        Prediction(*labels[label], float(system.scores[row, rank]), label in right)
        for rank, label in enumerate(ids[ids >= 0].tolist())
    ]


def _ranks(system: System, row: int) -> dict[int, int]:
    """By right label that is in the query's list: its place, 1 for the first."""
    hits = slice(*np.searchsorted(system.hits.rows, (row, row + 1)))
    places = system.hits.ranks[hits] + 1
    return dict(zip(system.hits.labels[hits].tolist(), places.tolist(), strict=True))
