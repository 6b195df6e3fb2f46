"""What a table on disk is to those who read it, whatever its format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["TableSource", "TextOptions"]


class TableSource(ABC):
    """A table whose records are read in order, some of its columns.

    Attributes:
        path: The file.
        names: Of the columns; None where only a header would tell, which whoever opens the table decides on.
        sample: The first records, where there are no names.
    """

    path: Path
    names: Sequence[str] | None = None
    sample: Sequence[Sequence[str]] = ()

    @abstractmethod
    def records(self, places: Sequence[int], *, header: bool, progress: bool) -> Iterator[tuple[Any, ...]]:
        """The fields at ``places`` (from 0) of each record; ``header`` skips the first one.

        Raises:
            DataError: Naming file and line of what cannot be read.
        """

    @abstractmethod
    def place(self, record: int) -> str:
        """Where a record is: "clicks.csv, line 7". Records count from 1, a header among them."""


@dataclass(frozen=True)
class TextOptions:
    """How a CSV file is written, where it does not tell by itself (:func:`xmc.data.tables.dialect.sniff`)."""

    delimiter: str | None = None
    quote: str | None = '"'
    encoding: str | None = None
