"""Results that others published, with where each is from; to be shown beside a run on that very data set."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

__all__ = ["PublishedResult", "published_results"]


@dataclass(frozen=True)
class PublishedResult:
    """What one source says of one system.

    Attributes:
        system: Its name, with what sets it apart.
        dataset: The data set's name.
        split: Whose queries were ranked: "test".
        sizes: Training rows, test rows and labels of the division into training and test rows that it was
            measured on, or None where the source leaves it open.
        metrics: In percent by name, "P@1", "PSP@3", "R@100"; only those the source gives.
        source: Paper, table or page.
        evidence: "primary" where the system's authors or the data set's repository printed it, "second-hand"
            where a later paper quotes or re-measured it.
        note: What a reader must know to compare, or "".
    """

    system: str
    dataset: str
    split: str
    sizes: tuple[int, int, int] | None
    metrics: dict[str, float]
    source: str
    evidence: Literal["primary", "second-hand"]
    note: str


def published_results(
    dataset: str, split: str = "test", sizes: tuple[int, int, int] | None = None
) -> list[PublishedResult]:
    """The published results on the data set of exactly that name and split, best P@1 first; none for others.

    Args:
        dataset: The whole name, as the extreme classification repository writes it: "LF-AmazonTitles-131K".
        split: Whose queries.
        sizes: Training rows, test rows and labels of the data at hand. Then a result counts only if it was
            measured on a division of these sizes: of EURLex-4K, for one, there are two.
    """
    rows = [row for row in _table() if (row.dataset, row.split) == (dataset, split)]
    if sizes is not None:
        rows = [row for row in rows if row.sizes == tuple(sizes)]
    return sorted(rows, key=lambda row: -row.metrics.get("P@1", 0.0))


@cache
def _table() -> tuple[PublishedResult, ...]:
    text = resources.files("xmc.evaluation").joinpath("published.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return tuple(_result(row, content["divisions"]) for row in content["results"])


def _result(row: dict[str, Any], divisions: dict[str, Any]) -> PublishedResult:
    division = row["division"]
    sizes = None if division is None else divisions[row["dataset"]][division]
    return PublishedResult(
        system=row["system"],
        dataset=row["dataset"],
        split=row["split"],
        sizes=None if sizes is None else (sizes["num_train"], sizes["num_test"], sizes["num_labels"]),
        metrics=row["metrics"],
        source=row["source"],
        evidence=row["evidence"],
        note=row.get("note", ""),
    )
