"""Texts without labels from a file or standard input: one a line, or a column of a table."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xmc.data.lines import LineReader, unpacked
from xmc.data.tables.columns import has_names
from xmc.data.tables.other_formats import other_than_text
from xmc.data.tables.source import TextOptions
from xmc.data.tables.values import as_text
from xmc.errors import ConfigError, DataError
from xmc.prediction.query import Query
from xmc.prediction.streamed import Record, stream_records
from xmc.received import reading

if TYPE_CHECKING:
    from xmc.data.tables.table import Table

__all__ = ["FIELDS", "FORMATS", "read_queries"]

FORMATS = ("text", "csv", "tsv", "jsonl")
FIELDS = ("title", "content")
_ENDINGS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_TEXTS = ("query", "text")
_MORE = "query_content"
"""More text of a query, as a table of clicks has it."""
_UIDS = ("uid", "query_uid", "qid")
_LOOKED_AT = 1 << 16
"""Bytes of what is read as plain text."""


def read_queries(
    source: str | Path,
    format: str = "auto",
    column: str | None = None,
    *,
    fields: Sequence[str] = FIELDS,
    columns: Sequence[str] = (),
    written: TextOptions | None = None,
    header: bool | None = None,
) -> Iterator[Query]:
    """The queries of a file in its order, read as they are asked for.

    Args:
        source: A file, plain or gzipped; "-" is standard input, which is not unpacked.
        format: One of `FORMATS`; "auto" goes by the file's ending (Parquet, too), and takes any other for
            plain text.
        column: The column of the text, by name or number; when None one of ``columns``, "query" or "text",
            else ``fields``.
        fields: Columns whose texts together are a query: those that the model was trained on.
        columns: What the columns of ``fields`` were called in the table that the model was trained on, in
            their order; such a column goes before any other.
        written: How CSV or TSV is written; a file whose ending says so tells by its beginning. All but such
            a file is UTF-8.
        header: Whether CSV or TSV has a line of names. None: it has, but where ``column`` is a number and no
            field of the first line is called as a column may be, which is then a query like the others.

    Raises:
        ConfigError: For an unknown format, a column of plain text, or ``written`` of what is no such file.
        DataError: When the file is not what its format says, or has no such column; the text names the line.
            Also for a file of another kind that "auto" would read as plain text.
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
        if format == "auto" and str(source) != "-":
            _refuse_other_than_text(Path(source))
        return (Query(str(number), line) for number, line in enumerate(_lines(source), 1))
    told = {} if column is None else {"query": column}
    every = {"uid": _UIDS, **_texts((*FIELDS, *fields), columns)}
    names = {"uid": _UIDS, **({} if column else _texts(fields, columns))}
    texts = list(dict.fromkeys((*columns, *_TEXTS, *fields)))
    if as_table:
        table = _table(Path(source), kind, names, told, written or TextOptions(), header, every)
        if not table.places.keys() - {"uid"}:
            raise _no_text(str(source), texts, table.names)
        records = _table_records(table)
    else:
        where = "standard input" if str(source) == "-" else str(source)

        def headed(first: Sequence[str]) -> bool:
            return has_names(first, every, told) if header is None else header

        records = stream_records(_lines(source), kind, where, names, told, written, headed)
    return _of_records(records, told, fields, texts)


def _texts(fields: Sequence[str], columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What columns of texts may be called, by what they are, the likeliest name first."""
    # Beside a title the content may have its usual name, which it has not beside a query.
    query = () if [name.casefold() for name in columns[:1]] == ["title"] else columns[:1]
    roles = {"query": (*query, "query")}
    if "content" in fields:
        roles[_MORE] = (*columns[1:], _MORE)
    return roles | {name: (name,) for name in ("text", *fields)}


def _format(source: str | Path) -> str:
    path = Path(source)
    ending = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    return _ENDINGS.get(ending.lower(), "text")


def _refuse_other_than_text(path: Path) -> None:
    with reading(path, "a file that can be read"), open(path, "rb") as raw:
        try:
            start = unpacked(raw).read(_LOOKED_AT)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            return  # told with its line as it is read
    found = other_than_text(path, start)
    if found is not None:
        raise DataError(
            f"{path}: expected plain text, one query a line, got {found}; --format text takes its lines as "
            "they are"
        )


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
    return open_table(path, names, told, written, header=header, by_place=lambda sample: (), known=every)


def _table_records(table: Table) -> Iterator[Record]:
    for number, fields in table.rows(progress=False):
        place = partial(table.source.place, number)
        yield Record(place, dict(zip(table.places, fields, strict=True)), table.names)


def _of_records(
    records: Iterable[Record], told: Mapping[str, str], fields: Sequence[str], texts: Sequence[str]
) -> Iterator[Query]:
    """The queries of records; ``texts`` are the names that a column of texts may have, for errors."""
    for number, record in enumerate(records, 1):
        given = record.values
        if not given.keys() - {"uid"}:
            raise _no_text(record.place(), texts, record.names)
        # Nothing under its name is an empty text, which gets no label.
        parts = [given[name] for name in list(told) or _parts(given, fields) if given[name] is not None]
        wrong = next((text for text in parts if not isinstance(text, str)), None)
        if wrong is not None:
            raise DataError(f"{record.place()}: expected the text to be a string, got {wrong!r:.80}")
        try:
            uid = as_text(given.get("uid"))
        except DataError as error:
            raise DataError(f"{record.place()}, uid: {error}") from error
        yield Query(uid or str(number), " ".join(text for text in parts if text))


def _parts(given: Mapping[str, Any], fields: Sequence[str]) -> list[str]:
    """Which of a record's values make its text: a query or a text, and more of it; else ``fields``."""
    told = [name for name in _TEXTS if given.get(name) is not None][:1]
    more = {"content": _MORE} if given.get(_MORE) is not None else {}
    parts = [*told, *more.values()] if told else [more.get(name, name) for name in fields]
    return [name for name in parts if given.get(name) is not None]


def _no_text(where: str, texts: Sequence[str], came: Iterable[str]) -> DataError:
    *others, last = texts
    listed = ", ".join(repr(name) for name in came) or "none"
    return DataError(
        f"{where}: expected a column {', '.join(others)} or {last}, got {listed}: name the column of the "
        "text (--column, by its number where there is no header), or say --format text for one query a line"
    )
