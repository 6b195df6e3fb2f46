"""Records of JSON Lines, CSV and TSV from lines as they come, as standard input has to be read.

A CSV file is better opened as a table (`xmc.data.tables`), which tells from its beginning how it is written.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from xmc.data.tables.columns import find_columns
from xmc.data.tables.source import TextOptions
from xmc.errors import DataError
from xmc.received import reading

__all__ = ["Record", "stream_records"]

_MOST_CHARACTERS = 1 << 24


class Record(NamedTuple):
    """A record of a table of queries."""

    place: Callable[[], str]
    """Where it is, for an error: ``queries.csv, line 7``."""
    values: Mapping[str, Any]
    """Its fields by what they are; without those it has not."""
    names: Sequence[str]
    """Of all its columns."""


def stream_records(
    lines: Iterable[str],
    kind: str,
    where: str,
    names: Mapping[str, tuple[str, ...]],
    told: Mapping[str, str],
    written: TextOptions | None = None,
    headed: Callable[[Sequence[str]], bool] = lambda first: True,
) -> Iterator[Record]:
    """The records of lines, one after the other.

    Args:
        lines: Without their ends.
        kind: "csv", "tsv" or "jsonl".
        where: What is read, for errors.
        names: What columns may be called, by what they are (`find_columns`).
        told: Names of columns as told, by what they are.
        written: Separator and quote of "csv" and "tsv", where they are others than is usual.
        headed: Whether the first record of "csv" and "tsv" is a header.

    Raises:
        DataError: Naming the line of what is no such record, or lacks a told column.
    """
    if kind == "jsonl":
        rows = _json_rows(lines, where)
    else:
        written = written or TextOptions()
        delimiter = written.delimiter or ("\t" if kind == "tsv" else ",")
        rows = _csv_rows(lines, where, delimiter, written.quote, headed)
    columns, places = None, dict[str, int]()
    for number, row in rows:
        place = f"{where}, line {number}"
        if row.keys() != columns:
            columns, places = row.keys(), find_columns(place, list(row), names, told)
        fields = list(row.values())
        yield Record(partial(str, place), {role: fields[at] for role, at in places.items()}, list(row))


def _csv_rows(
    lines: Iterable[str],
    where: str,
    delimiter: str,
    quote: str | None,
    headed: Callable[[Sequence[str]], bool],
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    # The limit is the process's: others who read tables get theirs back.
    limit = csv.field_size_limit(_MOST_CHARACTERS)
    ended = (f"{line}\n" for line in lines)
    if quote is None:
        reader = csv.reader(ended, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(ended, delimiter=delimiter, quotechar=quote, strict=True)
    try:
        first = next(reader, None)
        if first is None:
            raise DataError(f"{where}: expected a header line with the names of the columns, got nothing")
        header = first
        if not headed(first):
            header = [str(number) for number in range(1, len(first) + 1)]
        for row in chain([] if header is first else [first], reader):
            if not row:
                continue
            if len(row) != len(header):
                raise DataError(
                    f"{where}, line {reader.line_num}: expected {len(header)} columns as in the header, got "
                    f"{len(row)}: quote texts that hold the separator"
                )
            yield reader.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise DataError(f"{where}, line {reader.line_num}: not a table: {error}") from error
    finally:
        csv.field_size_limit(limit)


def _json_rows(lines: Iterable[str], where: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        with reading(f"{where}, line {number}", "a JSON object a line"):
            row = json.loads(line)
        if not isinstance(row, Mapping):
            raise DataError(f"{where}, line {number}: expected a JSON object, got {type(row).__name__}")
        yield number, row
