"""Texts without labels from a file or standard input: one a line, or a column of a table."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from xmc.data.lines import LineReader
from xmc.data.tables.columns import has_names
from xmc.data.tables.source import TextOptions
from xmc.data.tables.values import as_text
from xmc.errors import ConfigError, DataError
from xmc.prediction.query import Query
from xmc.prediction.streamed import Record, stream_records

if TYPE_CHECKING:
    from xmc.data.tables.table import Table

__all__ = ["FIELDS", "FORMATS", "read_queries"]

FORMATS = ("text", "csv", "tsv", "jsonl")
FIELDS = ("title", "content")
_ENDINGS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_TEXTS = ("query", "text")


def read_queries(
    source: str | Path,
    format: str = "auto",
    column: str | None = None,
    *,
    fields: Sequence[str] = FIELDS,
    written: TextOptions | None = None,
    header: bool | None = None,
) -> Iterator[Query]:
    """The queries of a file in its order, read as they are asked for.

    Args:
        source: A file, plain or gzipped; "-" is standard input, which is not unpacked.
        format: One of `FORMATS`; "auto" goes by the file's ending (Parquet, too), and takes any other for
            plain text.
        column: The column of the text, by name or number; when None "query" or "text", else ``fields``.
        fields: Columns whose texts together are a query: those that the model was trained on.
        written: How CSV or TSV is written; a file whose ending says so tells by its beginning. All but such
            a file is UTF-8.
        header: Whether CSV or TSV has a line of names. None: it has, but where ``column`` is a number and no
            field of the first line is called as a column may be, which is then a query like the others.

    Raises:
        ConfigError: For an unknown format, a column of plain text, or ``written`` of what is no such file.
        DataError: When the file is not what its format says, or has no such column; the text names the line.
    """
    if format not in ("auto", *FORMATS):
        raise ConfigError(f"expected a format of {', '.join(FORMATS)}, got {format}")
    ending = _format(source)
    kind = ending if format == "auto" else format
    as_table = kind == ending and kind in ("csv", "tsv", "parquet")
    if header is not None and kind not in ("csv", "tsv"):
        raise ConfigError(f"expected --header with CSV or TSV only, got it for {source}")
    if header is None and not (column or "").isdecimal():
        header = True
    if written is not None and (kind not in ("csv", "tsv") or (written.encoding and not as_table)):
        raise ConfigError(
            "expected --delimiter and --quote with CSV or TSV, and --encoding with a file that ends in .csv "
            f"or .tsv only, got them for {source}"
        )
    if kind == "text":
        if column is not None:
            raise ConfigError(
                f"expected a column of CSV, TSV or JSON Lines only, got {column!r} for plain text, one query "
                "a line: say which it is (--format)"
            )
        return (Query(str(number), line) for number, line in enumerate(_lines(source), 1))
    told = {} if column is None else {"query": column}
    every = {role: (role,) for role in ("uid", *_TEXTS, *FIELDS, *fields)}
    names = {role: (role,) for role in ("uid", *(() if column else (*_TEXTS, *fields)))}
    if as_table:
        records = _table_records(
            _table(Path(source), kind, names, told, written or TextOptions(), header, every)
        )
    else:
        where = "standard input" if str(source) == "-" else str(source)

        def headed(first: Sequence[str]) -> bool:
            return has_names(first, every, told) if header is None else header

        records = stream_records(_lines(source), kind, where, names, told, written, headed)
    return _of_records(records, told, fields)


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


def _table(
    path: Path,
    kind: str,
    names: Mapping[str, tuple[str, ...]],
    told: Mapping[str, str],
    written: TextOptions,
    header: bool | None,
    every: Mapping[str, tuple[str, ...]],
) -> Table:
    from xmc.data.tables.table import open_table  # pyarrow, which plain text and JSON Lines need not

    if kind == "tsv" and written.delimiter is None:
        written = TextOptions("\t", written.quote, written.encoding)
    table = open_table(path, names, told, written, header=header, by_place=lambda sample: (), known=every)
    if not table.places.keys() - {"uid"}:
        raise _no_text(str(path), names, table.names)
    return table


def _table_records(table: Table) -> Iterator[Record]:
    for number, fields in table.rows(progress=False):
        place = partial(table.source.place, number)
        yield Record(place, dict(zip(table.places, fields, strict=True)), table.names)


def _of_records(records: Iterable[Record], told: Mapping[str, str], fields: Sequence[str]) -> Iterator[Query]:
    for number, record in enumerate(records, 1):
        given = record.values
        parts = list(told) or [name for name in _TEXTS if given.get(name) is not None][:1]
        parts = parts or [name for name in fields if given.get(name) is not None]
        if not parts and not any(name in given for name in (*_TEXTS, *fields)):
            raise _no_text(record.place(), (*_TEXTS, *fields), record.names)
        # Nothing under its name is an empty text, which gets no label.
        texts = [text for name in parts if (text := given[name]) is not None]
        wrong = next((text for text in texts if not isinstance(text, str)), None)
        if wrong is not None:
            raise DataError(f"{record.place()}: expected the text to be a string, got {wrong!r:.80}")
        try:
            uid = as_text(given.get("uid"))
        except DataError as error:
            raise DataError(f"{record.place()}, uid: {error}") from error
        yield Query(uid or str(number), " ".join(text for text in texts if text))


def _no_text(where: str, names: Iterable[str], came: Iterable[str]) -> DataError:
    *others, last = (name for name in names if name != "uid")
    listed = ", ".join(repr(name) for name in came) or "none"
    return DataError(
        f"{where}: expected a column {', '.join(others)} or {last}, got {listed}: name the column of the "
        "text (--column, by its number where there is no header), or say --format text for one query a line"
    )
