"""Tables on disk, read record by record: CSV and TSV, JSON Lines, Parquet. Errors name their place."""

from __future__ import annotations

import json
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from xmc.data.importers.reader import JsonReader
from xmc.data.parquet import read_rows
from xmc.data.tables.dialect import (
    Dialect,
    line_of,
    not_of_encoding,
    open_bytes,
    quote_left_open,
    sniff,
)
from xmc.errors import DataError
from xmc.progress import Bar
from xmc.received import reading

__all__ = ["SUFFIXES", "TableSource", "TextOptions", "is_table", "open_source", "stem"]

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet")
"""What a table's name ends in; ``.gz`` may follow, but not after ``.parquet``."""

_BLOCK_BYTES = 16 << 20
_SAMPLE_RECORDS = 200


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


def is_table(path: Path) -> bool:
    """Whether a file's name is that of a table."""
    name = path.name.removesuffix(".gz").lower()
    return name.endswith(SUFFIXES)


def stem(path: Path) -> str:
    """A table's name without what it ends in, in lower case."""
    return path.name.lower().removesuffix(".gz").rpartition(".")[0]


def open_source(path: Path, options: TextOptions) -> TableSource:
    """The table in a file, by what its name ends in.

    Raises:
        DataError: When there is no such file, it is of no known kind, or its beginning cannot be read.
    """
    if not path.is_file():
        raise DataError(f"expected a file, found none at {path}")
    if not is_table(path):
        raise DataError(f"{path}: expected a file whose name ends in {', '.join(SUFFIXES)} (or with .gz)")
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".parquet"):
        return ParquetSource(path)
    if name.endswith((".jsonl", ".ndjson")):
        return JsonSource(path)
    dialect = sniff(path, delimiter=options.delimiter, encoding=options.encoding, quote=options.quote)
    return CsvSource(path, dialect)


class CsvSource(TableSource):
    """A CSV or TSV file, read in blocks; every field is text as it stands, "00123" too."""

    def __init__(self, path: Path, dialect: Dialect) -> None:
        self.path, self.sample = path, dialect.sample
        self._dialect = dialect
        self._width = len(dialect.sample[0])

    def records(self, places: Sequence[int], *, header: bool, progress: bool) -> Iterator[tuple[Any, ...]]:
        """See :class:`TableSource`."""
        count, last = int(header), tuple[Any, ...]()
        try:
            with open_bytes(self.path) as file:
                for batch in self._reader(file, places, header, progress):
                    columns = [batch.column(place).to_pylist() for place in range(len(places))]
                    for last in zip(*columns, strict=True):
                        yield last
                    count += batch.num_rows
        except (pa.ArrowException, UnicodeError, EOFError, OSError, zlib.error) as error:
            raise self._explained(error, count) from error
        # Arrow takes a quote that is never closed for a field that ends with the file.
        if any("\n" in field for field in last) and quote_left_open(self.path, self._dialect):
            raise DataError(f"{self.place(count)}: {_OPEN_QUOTE}")

    def place(self, record: int) -> str:
        """See :class:`TableSource`."""
        return f"{self.path}, line {line_of(self.path, self._dialect, record)}"

    def _reader(
        self, file: Any, places: Sequence[int], header: bool, progress: bool
    ) -> Iterator[pa.RecordBatch]:
        # By number, as names of a header may repeat or be empty.
        names = [str(place) for place in range(self._width)]
        encoding = "utf8" if self._dialect.encoding == "utf-8-sig" else self._dialect.encoding
        reader = pc.open_csv(
            file,
            read_options=pc.ReadOptions(
                column_names=names,
                skip_rows=self._dialect.skipped_lines,
                skip_rows_after_names=int(header),
                block_size=_BLOCK_BYTES,
                encoding=encoding,
                # With threads an error does not say which row it is about.
                use_threads=False,
            ),
            parse_options=pc.ParseOptions(
                delimiter=self._dialect.delimiter,
                quote_char=self._dialect.quote or False,
                newlines_in_values=self._dialect.quote is not None,
            ),
            convert_options=pc.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=[names[place] for place in places],
                strings_can_be_null=False,
            ),
        )
        with Bar(None, self.path.name, "row", shown=progress) as bar:
            for batch in reader:
                yield batch
                bar.update(batch.num_rows)

    def _explained(self, error: Exception, count: int) -> DataError:
        """An error of Arrow with its line."""
        message = str(error)
        if (
            isinstance(error, (EOFError, zlib.error))
            or "gzip" in message.lower()
            or "compress" in message.lower()
        ):
            return DataError(f"{self.path}: expected a complete gzip file ({message}): fetch it again")
        if "straddling" in message:
            return DataError(
                f"{self.place(count + 1)}: {_OPEN_QUOTE} (there is a record of over {_BLOCK_BYTES:,} bytes)"
            )
        row = re.search(r"Row #(\d+)", message)
        if isinstance(error, UnicodeError) or "UTF8" in message:
            line = line_of(self.path, self._dialect, int(row[1]) if row else count + 1)
            return not_of_encoding(self.path, line, self._dialect.encoding)
        place = self.place(int(row[1]) if row else count + 1)
        if '"' in message and quote_left_open(self.path, self._dialect):
            return DataError(f"{place}: {_OPEN_QUOTE}")
        if widths := re.search(r"Expected (\d+) columns, got (\d+): (.*)", message, re.DOTALL):
            delimiter = {"\t": "a tab"}.get(self._dialect.delimiter, repr(self._dialect.delimiter))
            return DataError(
                f"{place}: expected {widths[1]} fields between {delimiter}, as in the first line, got "
                f"{widths[2]} in {' '.join(widths[3].split())!r:.80}: a field that holds the delimiter or a "
                "line end stands in quotes; name another delimiter with --delimiter"
            )
        return DataError(f"{place}: expected a CSV file ({' '.join(message.split())})")


_OPEN_QUOTE = (
    "expected every quote to be closed, but a quote that opens here or later is not: double a quote within a "
    "field, or say that quotes mean nothing (--quote none)"
)


class JsonSource(TableSource):
    """A file of one JSON object a line; a key that an object has not is None."""

    def __init__(self, path: Path) -> None:
        self.path = path
        seen: dict[str, None] = {}
        for number, record in enumerate(self._objects(progress=False)):
            seen.update(dict.fromkeys(map(str, record)))
            if number == _SAMPLE_RECORDS:
                break
        if not seen:
            raise DataError(f"{path}: expected JSON objects, one a line, but the file is empty")
        self.names: list[str] = list(seen)

    def records(self, places: Sequence[int], *, header: bool, progress: bool) -> Iterator[tuple[Any, ...]]:
        """See :class:`TableSource`."""
        keys = [self.names[place] for place in places]
        for record in self._objects(progress=progress):
            yield tuple(record.get(key) for key in keys)

    def place(self, record: int) -> str:
        """See :class:`TableSource`."""
        return f"{self.path}, line {record}"

    def _objects(self, *, progress: bool) -> Iterator[dict[str, Any]]:
        reader = JsonReader(self.path, progress=progress)
        with reader.located():
            for record in reader:
                if not isinstance(record, dict):
                    raise DataError(f"expected a JSON object, got {json.dumps(record)!r:.80}")
                yield record


class ParquetSource(TableSource):
    """A Parquet file, a batch in memory at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path, "a Parquet file"):
            self.names: list[str] = pq.read_schema(path).names

    def records(self, places: Sequence[int], *, header: bool, progress: bool) -> Iterator[tuple[Any, ...]]:
        """See :class:`TableSource`."""
        names = [self.names[place] for place in places]
        for row in read_rows(self.path, names, progress=progress, place=str(self.path)):
            yield tuple(row[name] for name in names)

    def place(self, record: int) -> str:
        """See :class:`TableSource`."""
        return f"{self.path}, row {record}"
