"""Texts on disk: Parquet files opened as memory-mapped Arrow tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa

from xmc.data.arrow_rows import ArrowRows
from xmc.data.cache import writable_folder
from xmc.data.parquet import open_parquet, parquet_rows
from xmc.errors import DataError
from xmc.files import atomic_file, fingerprint
from xmc.received import reading

__all__ = ["SCHEMA", "TextColumn", "open_table"]

SCHEMA = pa.schema([("uid", pa.string()), ("title", pa.string()), ("content", pa.string())])
_BATCH_ROWS = 4096


class TextColumn(Sequence[str]):
    """The texts of one table, read from disk as asked: fields joined by a space, empty ones left out.

    ``column[i]`` is a string; ``column[i:j]`` and ``column[rows]`` (int or bool array, list) a list of them.

    Args:
        table: With string columns, [N] rows.
        fields: Columns to join, in order.
        source: Names the table's content, for :attr:`fingerprint`.
    """

    def __init__(self, table: ArrowRows, fields: Sequence[str], source: str = "") -> None:
        self.fields = tuple(fields)
        self.fingerprint: str = fingerprint(source, *self.fields)
        self._table = table

    def __len__(self) -> int:
        """Number of texts."""
        return len(self._table)

    @overload
    def __getitem__(self, key: int) -> str: ...
    @overload
    def __getitem__(self, key: slice | Sequence[int] | np.ndarray) -> list[str]: ...
    def __getitem__(self, key: Any) -> str | list[str]:
        """The text at an index, or the list of texts at a slice or a sequence of indices."""
        if isinstance(key, (int, np.integer)):
            return self._joined(self._table.at(self._positions(np.asarray([key])), self.fields))[0]
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                return self._joined(self._table.between(start, max(start, stop), self.fields))
            key = np.arange(start, stop, step)
        return self._joined(self._table.at(self._positions(np.asarray(key)), self.fields))

    def __iter__(self) -> Iterator[str]:
        """Every text in order; a batch of rows is in memory at a time."""
        for start in range(0, len(self), _BATCH_ROWS):
            yield from self[start : start + _BATCH_ROWS]

    def _positions(self, rows: np.ndarray) -> np.ndarray:
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        if rows.size and (rows.min() < -len(self) or rows.max() >= len(self)):
            raise IndexError(
                f"expected rows between {-len(self)} and {len(self) - 1}, got {rows.min()}..{rows.max()}"
            )
        return np.where(rows < 0, rows + len(self), rows).astype(np.int64)

    def _joined(self, columns: Sequence[list[str]]) -> list[str]:
        if len(columns) == 1:
            return columns[0]
        return [" ".join(filter(None, parts)) for parts in zip(*columns, strict=True)]


def open_table(parquet: Path, digest: str) -> ArrowRows:
    """A Parquet file as a memory-mapped Arrow table.

    Parquet is compressed and cannot be mapped, so the first call unpacks it, batch by batch, into ``cache/``
    beside it, or where that cannot be written into the user's cache, which is logged.

    Args:
        parquet: The file.
        digest: Names its content; another content gets another cache file.

    Raises:
        DataError: When the file is not a Parquet file with the columns of a prepared data set.
    """
    beside = parquet.parent / "cache"
    name = f"{parquet.stem}-{digest[:16]}.arrow"
    arrow = (beside if (beside / name).is_file() else writable_folder(beside)) / name
    if not arrow.is_file():
        _unpack(parquet, arrow)
    with reading(arrow, "the unpacked texts of a data set", "delete this file to remake it"):
        opened = ArrowRows(arrow)
        if opened.names != SCHEMA.names:
            raise ValueError(f"its columns are {opened.names}")
    return opened


def _unpack(parquet: Path, arrow: Path) -> None:
    with (
        atomic_file(arrow) as temporary,
        reading(parquet, "a Parquet file", "import the data set again"),
        open_parquet(parquet, SCHEMA.names) as source,
    ):
        if source.schema_arrow.names != SCHEMA.names:
            names = source.schema_arrow.names
            raise DataError(f"{parquet}: expected columns {SCHEMA.names}, got {names}: import it again")
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_stream(sink, SCHEMA) as writer:
            for rows in parquet_rows(source, SCHEMA.names, parquet.stat().st_size):
                batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
                if any(column.null_count for column in batch.columns):
                    raise ValueError("a uid, title or content is missing")
                writer.write_batch(batch)
