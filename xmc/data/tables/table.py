"""A table whose columns are known: which of them is what, and where in it an error is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmc.data.tables.columns import LABEL_NAMES, find_columns, has_names
from xmc.data.tables.source import TableSource, TextOptions
from xmc.data.tables.sources import open_source
from xmc.errors import DataError

__all__ = ["Table", "open_table"]

_log = logging.getLogger(__name__)

_SHOWN_NAMES = 20


@dataclass(frozen=True)
class Table:
    """Open with :func:`open_table`.

    Attributes:
        source: The file.
        places: The place of each column that is read, from 0, by what it is.
        names: Of all columns, as the header has them, or their numbers from 1 where there is none.
        header: Whether the first record is one.
    """

    source: TableSource
    places: Mapping[str, int]
    names: Sequence[str]
    header: bool

    @property
    def is_named(self) -> bool:
        """Whether ``names`` are the file's own, and not numbers in their place."""
        return self.header or self.source.names is not None

    def rows(self, *, progress: bool) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Each record's number, a header among them, and its fields in the order of ``places``."""
        records = self.source.records(list(self.places.values()), header=self.header, progress=progress)
        return enumerate(records, int(self.header) + 1)

    def at(self, number: int, what: str) -> str:
        """The place of a field: ``clicks.csv, line 7, column 'query'``."""
        return f"{self.source.place(number)}, column {self.names[self.places[what]]!r}"

    def tell_columns(self) -> None:
        """Say which columns are read as what, and which are not read."""
        read = ", ".join(f"{role} = {self.names[place]}" for role, place in self.places.items())
        places = set(self.places.values())
        aside = [name or f"column {at + 1}" for at, name in enumerate(self.names) if at not in places]
        more = f" and {len(aside) - _SHOWN_NAMES:,} more" if len(aside) > _SHOWN_NAMES else ""
        unread = f"; not read: {', '.join(aside[:_SHOWN_NAMES])}{more}" if aside else ""
        _log.info("%s: columns: %s%s", self.source.path, read, unread)


def open_table(
    path: Path,
    choices: Mapping[str, tuple[str, ...]],
    told: Mapping[str, str],
    options: TextOptions,
    *,
    header: bool | None,
    by_place: Callable[[Sequence[Sequence[str]]], Sequence[str]],
    known: Mapping[str, Sequence[str]] | None = None,
) -> Table:
    """The table in ``path``, its columns found by name, or by place where it has no header.

    Args:
        path: A file.
        choices: What columns may be called, by what they are.
        told: Names or numbers of columns as told, by what they are.
        options: How a CSV file is written.
        header: Whether a CSV file has one; None to see.
        by_place: What the columns of a file without a header are, from its first records.
        known: What columns may be called in a header, where that is more than ``choices``.

    Raises:
        DataError: When there is no such file, its beginning cannot be read, or a told column is not in it.
    """
    source = open_source(path, options)
    if source.names is not None:
        names = source.names
        return Table(source, find_columns(str(path), names, choices, told), names, header=False)
    sample = [[cell.strip() for cell in record] for record in source.sample]
    if has_names(sample[0], known or choices, told) if header is None else header:
        return Table(source, find_columns(str(path), sample[0], choices, told), sample[0], header=True)
    numbers = [str(number) for number in range(1, len(sample[0]) + 1)]
    places = find_columns(str(path), numbers, {}, told)
    for place, role in enumerate(by_place(sample)):
        if place < len(numbers) and role not in places and place not in places.values():
            places[role] = place
    if header is None:
        shown = ", ".join(repr(cell)[:40] for cell in sample[0])
        # Nothing says that a table of labels has a header but the name of a column.
        ways = [] if told else ["which column is which (--columns)"]
        ways += [] if choices is LABEL_NAMES else ["--header yes"]
        _log.warning(
            "%s: no header, as no column of the first line is named as expected: %s is taken for data, as "
            "%s%s",
            *(path, shown, ", ".join(places), f"; otherwise say {', or '.join(ways)}" if ways else ""),
        )
    return Table(source, places, numbers, header=False)


def missing(table: Table, what: str, example: str) -> DataError:
    """The error of a table that has not the columns it needs."""
    path = table.source.path
    if not table.is_named:
        first = ", ".join(f"{cell.strip()!r:.40}" for cell in table.source.sample[0])
        return DataError(
            f"{path}: expected a column with {what}, but the first line, which is no header of known names, "
            f"has {first} alone: begin with the header, say which column it is (--columns {example}=NAME), "
            "or what is between columns (--delimiter)"
        )
    listed = ", ".join(repr(name) for name in table.names)
    return DataError(
        f"{path}: expected a column with {what}, the file has {listed}: say which column it is, such as "
        f"--columns {example}=NAME"
    )
