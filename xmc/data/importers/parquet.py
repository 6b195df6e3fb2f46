"""Parquet: ``train.parquet``, optional ``test.parquet`` and ``labels.parquet``, or ``train-*.parquet``.

The accepted columns are in ``records.py``. Files may be in the folder itself or in ``data/``; shards are read
in the order of their names. ``filter_labels_{train,test}.txt`` are optional.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xmc.data.importers.filters import add_filters, filter_files
from xmc.data.importers.formats import SourceFormat
from xmc.data.importers.reader import Located
from xmc.data.importers.records import COLUMNS, LabelBook, add_labels, add_rows
from xmc.data.manifest import SPLITS, TABLES
from xmc.data.parquet import read_rows
from xmc.data.writer import DatasetWriter
from xmc.errors import DataError
from xmc.received import check_inside, reading

__all__ = ["PARQUET"]


class ParquetReader(Located):
    """The rows of a Parquet file as dictionaries, a batch in memory at a time."""

    def __init__(self, path: Path, *, progress: bool) -> None:
        super().__init__(str(path), "row")
        self._path = path
        self._progress = progress

    def __iter__(self) -> Iterator[object]:
        self.number = 0
        for row in read_rows(self._path, COLUMNS, progress=self._progress):
            self.number += 1
            yield row


def _tables(source: str | Path) -> dict[str, list[Path]]:
    folders = [Path(source), Path(source) / "data"]
    found = {table: [_shards(folder, table) for folder in folders] for table in TABLES}
    return {table: next((paths for paths in choices if paths), []) for table, choices in found.items()}


def _shards(folder: Path, table: str) -> list[Path]:
    whole = folder / f"{table}.parquet"
    shards = [whole] if whole.is_file() else sorted(folder.glob(f"{table}-*.parquet"))
    for path in shards:
        if not path.is_file():
            raise DataError(f"{path}: expected a file, found none that can be read")
        with reading(path, "a file of the folder"):
            check_inside(path, folder)
    return shards


def _matches(folder: Path) -> bool:
    return bool(_tables(folder)["train"])


def _files(source: str) -> list[Path]:
    tables = _tables(source)
    if not tables["train"]:
        raise DataError(f"{source}: expected train.parquet or train-*.parquet here or in data/, found none")
    return [*(path for paths in tables.values() for path in paths), *filter_files([Path(source)]).values()]


def _has_test(source: str) -> bool:
    return bool(_tables(source)["test"])


def _read(source: str, writer: DatasetWriter, progress: bool) -> None:
    tables = _tables(source)
    parts = [add_labels(ParquetReader(path, progress=progress), writer) for path in tables["labels"]]
    book = LabelBook(writer, closed=bool(parts), numbered=bool(parts) and all(parts))
    for split in SPLITS:
        for path in tables[split]:
            add_rows(ParquetReader(path, progress=progress), split, writer, book)
    add_filters([Path(source)], writer, progress)


PARQUET = SourceFormat(
    "parquet",
    "train.parquet or train-*.parquet (or in data/), with or without test, labels",
    _matches,
    _files,
    _has_test,
    _read,
)
