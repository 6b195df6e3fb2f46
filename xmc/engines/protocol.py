"""What an engine has to do; the export and the search are built on this and know no engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xmc.engines.facts import ExportFacts
from xmc.retrieval.hit import Hit

__all__ = ["COLUMNS", "Change", "Engine", "LabelRows"]

COLUMNS = ("label", "uid", "text", "digest", "vector")
"""Names of what every engine keeps of a row; ``label`` is its id."""


@dataclass(frozen=True)
class LabelRows:
    """n rows: labels, or of labels of several texts these."""

    ids: NDArray[np.int64]
    """Ascending: of labels, or those that :class:`~xmc.engines.facts.ExportFacts` gives their texts."""
    uids: Sequence[str]
    texts: Sequence[str]
    vectors: NDArray[np.float32]
    """[n, W], the offset last where there are any."""
    digests: NDArray[np.int64]
    """A row's uid, text and vector in one number: when it is another, the row has changed."""

    def __len__(self) -> int:
        """How many rows, n."""
        return len(self.ids)

    def only(self, chosen: NDArray[np.bool_]) -> LabelRows:
        """Those that ``chosen`` [n] says."""
        places = np.flatnonzero(chosen).tolist()
        return LabelRows(
            self.ids[chosen],
            [self.uids[i] for i in places],
            [self.texts[i] for i in places],
            self.vectors[chosen],
            self.digests[chosen],
        )


@dataclass(frozen=True)
class Change:
    """What has to happen to the rows of ids ``low`` to ``high``, the latter exclusive, of a collection."""

    low: int
    high: int
    rows: LabelRows
    """All that are to be there afterwards."""
    changed: NDArray[np.bool_]
    """Which of them are new or differ, [n]."""
    gone: Sequence[int]
    """Ids that are there and are not to be."""

    @property
    def written(self) -> LabelRows:
        """The rows that are new or differ."""
        return self.rows.only(self.changed)


class Engine(Protocol):
    """A collection of labels in an engine, opened by place and name; it need not be there yet.

    Every method may raise an XMCError that names the place when the engine fails or does not answer.
    """

    where: str
    """The place and name, for messages."""
    batch: int
    """Rows that suit it at a time."""
    most_hits: int | None
    """Rows that it gives for a query at most; None for any number."""

    def facts(self) -> ExportFacts | None:
        """What the collection says of itself; None when there is none.

        Raises:
            DataError: When a collection of that name is there which no export made.
        """

    def create(self, facts: ExportFacts) -> None:
        """Make the collection, empty."""

    def drop(self) -> None:
        """Remove the collection, which `facts` knows."""

    def stored(self, low: int, high: int) -> dict[int, int]:
        """Digests by id of the rows that are there, from ``low`` to ``high``, the latter exclusive."""

    def write(self, change: Change) -> None:
        """Carry it out; when it returns, it is there to stay."""

    def truncate(self, next_id: int) -> None:
        """Remove rows with ids of ``next_id`` or above."""

    def finish(self) -> None:
        """Make all that was written visible to searches, and tidy up."""

    def count(self) -> int:
        """Rows that are there."""

    def search(self, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:
        """The k best rows by inner product with each of the queries [N, W], scoring every one.

        A hit's ``label`` is the id of the row.
        """

    def close(self) -> None:
        """Let go of files and connections."""
