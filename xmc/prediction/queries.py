"""Texts without labels from a file or standard input: one a line, or a column of CSV, TSV or JSON Lines."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from xmc.data.importers.reader import LineReader
from xmc.errors import ConfigError, DataError
from xmc.received import reading

__all__ = ["FORMATS", "Query", "read_queries"]

FORMATS = ("text", "csv", "tsv", "jsonl")
_ENDINGS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_TEXTS = ("query", "text")
_FIELDS = ("title", "content")
_MOST_CHARACTERS = 1 << 24


class Query(NamedTuple):
    """A text to find labels for."""

    uid: str
    """The file's own, from its column uid; else the number of the query, from 1."""
    text: str


def read_queries(source: str | Path, format: str = "auto", column: str | None = None) -> Iterator[Query]:
    """The queries of a file in its order, read as they are asked for.

    Args:
        source: A file of UTF-8, plain or gzipped; "-" is standard input, which is not unpacked.
        format: One of `FORMATS`; "auto" goes by the file's ending and takes any other for plain text.
        column: The column of the text; when None "query" or "text", else "title" and "content" together.

    Raises:
        ConfigError: For an unknown format, or a column of plain text.
        DataError: When the file is not what its format says, or has no such column; the text names the line.
    """
    kind = _format(source) if format == "auto" else format
    if kind not in FORMATS:
        raise ConfigError(f"expected a format of {', '.join(FORMATS)}, got {kind}")
    if kind == "text":
        if column is not None:
            raise ConfigError(
                f"expected a column of CSV, TSV or JSON Lines only, got {column!r} for plain text, one query "
                "a line: say which it is (--format)"
            )
        return (Query(str(number), line) for number, line in enumerate(_lines(source), 1))
    rows = _json_rows(source) if kind == "jsonl" else _table_rows(source, "\t" if kind == "tsv" else ",")
    return _of_rows(rows, str(source), column)


def _format(source: str | Path) -> str:
    path = Path(source)
    ending = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    return _ENDINGS.get(ending.lower(), "text")


def _lines(source: str | Path) -> Iterator[str]:
    if str(source) != "-":
        reader = LineReader(Path(source))
        with reader.located():
            yield from reader
        return
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(f"standard input, line {number}: expected UTF-8 ({error})") from error


def _table_rows(source: str | Path, delimiter: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    # The limit is the process's: others who read tables get theirs back.
    limit = csv.field_size_limit(_MOST_CHARACTERS)
    reader = csv.reader((f"{line}\n" for line in _lines(source)), delimiter=delimiter, strict=True)
    try:
        header = next(reader, None)
        if header is None:
            raise DataError(f"{source}: expected a header line with the names of the columns, got nothing")
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise DataError(
                    f"{source}, line {reader.line_num}: expected {len(header)} columns as in the header, got "
                    f"{len(row)}: quote texts that hold the separator"
                )
            yield reader.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise DataError(f"{source}, line {reader.line_num}: not a table: {error}") from error
    finally:
        csv.field_size_limit(limit)


def _json_rows(source: str | Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(_lines(source), 1):
        if not line.strip():
            continue
        with reading(f"{source}, line {number}", "a JSON object a line"):
            row = json.loads(line)
        if not isinstance(row, Mapping):
            raise DataError(f"{source}, line {number}: expected a JSON object, got {type(row).__name__}")
        yield number, row


def _of_rows(
    rows: Iterable[tuple[int, Mapping[str, Any]]], source: str, column: str | None
) -> Iterator[Query]:
    for number, (line, row) in enumerate(rows, 1):
        where = f"{source}, line {line}"
        values = [row[name] for name in _columns(row, column, where)]
        wrong = next((value for value in values if not isinstance(value, str)), None)
        if wrong is not None:
            raise DataError(f"{where}: expected the text to be a string, got {wrong!r:.80}")
        uid = row.get("uid")
        yield Query(str(number) if uid is None else str(uid), " ".join(value for value in values if value))


def _columns(row: Mapping[str, Any], column: str | None, where: str) -> Sequence[str]:
    """The columns that make the text."""
    if column is not None:
        if column not in row:
            raise DataError(f"{where}: expected a column {column!r}, got {_names(row)}")
        return [column]
    if found := [name for name in _TEXTS if name in row]:
        return found[:1]
    if found := [name for name in _FIELDS if row.get(name) is not None]:
        return found
    raise DataError(
        f"{where}: expected a column query, text or title, got {_names(row)}: name the column of the text "
        "(--column), or say --format text for one query a line"
    )


def _names(row: Mapping[str, Any]) -> str:
    return ", ".join(repr(name) for name in row) or "none"
