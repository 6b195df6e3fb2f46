"""Tables on disk, read record by record: CSV and TSV, JSON Lines, Parquet. Errors name their place."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from xmc.data.importers.reader import FROM_ARRAY, JsonReader
from xmc.data.parquet import read_rows
from xmc.data.tables.csv_source import CsvSource
from xmc.data.tables.dialect import sniff
from xmc.data.tables.source import TableSource, TextOptions
from xmc.errors import DataError
from xmc.received import reading

__all__ = ["SUFFIXES", "is_table", "open_source", "stem"]

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet")
"""What a table's name ends in; ``.gz`` may follow, but not after ``.parquet``."""


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
    if path.name.lower().removesuffix(".gz").endswith(".json"):
        raise DataError(
            f"{path}: expected JSON Lines, one object a line in a file whose name ends in .jsonl, got a "
            f".json file: {FROM_ARRAY}, where it is one list of them"
        )
    if not is_table(path):
        raise DataError(f"{path}: expected a file whose name ends in {', '.join(SUFFIXES)} (or with .gz)")
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".parquet"):
        return ParquetSource(path)
    if name.endswith((".jsonl", ".ndjson")):
        return JsonSource(path)
    dialect = sniff(path, delimiter=options.delimiter, encoding=options.encoding, quote=options.quote)
    return CsvSource(path, dialect)


class JsonSource(TableSource):
    """A file of one JSON object a line; a key that an object has not is None."""

    def __init__(self, path: Path) -> None:
        self.path = path
        seen: dict[str, None] = {}
        # All of it: a key that is left out where there is nothing to say may come late.
        for record in self._objects(progress=False):
            if not record.keys() <= seen.keys():
                seen.update(dict.fromkeys(record))
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
                    listed = isinstance(record, list) and all(isinstance(one, dict) for one in record)
                    hint = f": {FROM_ARRAY}" if listed else ""
                    raise DataError(f"expected a JSON object, got {json.dumps(record)!r:.80}{hint}")
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
