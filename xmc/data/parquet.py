"""Parquet files read as rows within ``xmc.limits``: a text that stands in a thousand rows is kept once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from xmc.data.npz import check_unpacked
from xmc.limits import MAX_IDS, MAX_LINE_BYTES
from xmc.progress import Bar
from xmc.received import reading

__all__ = ["bounded_batches", "check_texts", "encoded_bytes", "open_parquet", "parquet_rows", "read_rows"]

_BATCH_ROWS = 2048
_WHOLE_ROWS = 65_536
_SLICE_BYTES = 64 << 20


def encoded_bytes(facts: pq.FileMetaData) -> int:
    """What the columns of a file take before they are compressed."""
    return sum(facts.row_group(number).total_byte_size for number in range(facts.num_row_groups))


def check_texts(size: int, packed: int) -> None:
    """As :func:`xmc.data.npz.check_unpacked`, of a Parquet file."""
    check_unpacked(size, packed, "write it plain (in pyarrow compression='none', use_dictionary=False)")


def open_parquet(path: Path, columns: Sequence[str]) -> pq.ParquetFile:
    """The file, with the texts of ``columns`` to be read as a dictionary of distinct ones.

    Raises:
        ValueError: When it holds more rows than ids can name, a column twice, or unpacks to more than
            ``check_texts`` allows.
        pa.ArrowException, OSError: When it is no Parquet file.
    """
    with pq.ParquetFile(path) as file:
        facts = file.metadata
        leaves = [file.schema.column(number) for number in range(len(file.schema.names))]
        names = file.schema_arrow.names
    if facts.num_rows > MAX_IDS:
        raise ValueError(f"it has {facts.num_rows} rows, and ids end at {MAX_IDS}")
    repeated = next((name for name in columns if names.count(name) > 1), None)
    if repeated:
        raise ValueError(f"its column {repeated} is there twice")
    check_texts(encoded_bytes(facts), path.stat().st_size)
    texts = [
        leaf.path
        for leaf in leaves
        if leaf.physical_type == "BYTE_ARRAY" and leaf.path.partition(".")[0] in columns
    ]
    return pq.ParquetFile(path, read_dictionary=texts)


def parquet_rows(file: pq.ParquetFile, columns: Sequence[str], packed: int) -> Iterator[list[dict[str, Any]]]:
    """The rows in batches of at most 2,048 rows and about 64 MiB of text.

    Args:
        file: As `open_parquet` opens it.
        columns: Those to read.
        packed: Bytes of the file.

    Raises:
        ValueError: When a row has more than ``MAX_LINE_BYTES`` of text, all rows have more than
            `check_texts` allows, or a column is neither plain nor a list of plain values.
        pa.ArrowException, OSError, UnicodeDecodeError: When the file is damaged.
    """
    for batch, sizes in _sized_batches(file, columns, packed):
        ends = np.cumsum(sizes)
        start = 0
        while start < batch.num_rows:
            before = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + _SLICE_BYTES, side="right")))
            yield batch.slice(start, stop - start).to_pylist()
            start = stop


def bounded_batches(file: pq.ParquetFile, columns: Sequence[str], packed: int) -> Iterator[pa.RecordBatch]:
    """As `parquet_rows`, in larger batches and without the slices: for tables that are kept whole.

    Every batch brings the distinct texts of all that its part of the file has.
    """
    return (batch for batch, _ in _sized_batches(file, columns, packed, _WHOLE_ROWS))


def _sized_batches(
    file: pq.ParquetFile, columns: Sequence[str], packed: int, rows: int = _BATCH_ROWS
) -> Iterator[tuple[pa.RecordBatch, NDArray[np.int64]]]:
    total = 0
    for batch in file.iter_batches(batch_size=rows, columns=list(columns)):
        batch.validate(full=True)
        sizes = _row_bytes(batch)
        total += int(sizes.sum())
        check_texts(total, packed)
        yield batch, sizes


def read_rows(
    path: Path, columns: Sequence[str], *, progress: bool, place: str = ""
) -> Iterator[dict[str, Any]]:
    """The rows of a table, those of ``columns`` that it has, with a bar.

    Raises:
        DataError: When it cannot be read within the bounds; the text begins with ``place``.
    """
    expected = "a Parquet file with UTF-8 text"
    with reading(place, expected):
        file, packed = open_parquet(path, columns), path.stat().st_size
    with file, Bar(file.metadata.num_rows, path.name, "row", shown=progress) as bar:
        names = [name for name in file.schema_arrow.names if name in columns]
        batches = parquet_rows(file, names, packed)
        while True:
            with reading(place, expected):
                rows = next(batches, None)
            if rows is None:
                return
            yield from rows
            bar.update(len(rows))


def _row_bytes(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """Bytes of text in each row."""
    total = np.zeros(batch.num_rows, dtype=np.int64)
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            sizes = np.concatenate([[0], np.cumsum(_text_bytes(name, column.values))])
            offsets = column.offsets.to_numpy(zero_copy_only=False)
            total += sizes[offsets[1:]] - sizes[offsets[:-1]]
        else:
            total += _text_bytes(name, column)
    if len(total) and total.max() > MAX_LINE_BYTES:
        raise ValueError(
            f"a row has {total.max():,} bytes of text, more than the {MAX_LINE_BYTES:,} that are read"
        )
    return total


def _text_bytes(name: str, values: pa.Array) -> NDArray[np.int64]:
    kind = _plain(values.type)
    if pa.types.is_nested(kind):
        raise ValueError(f"its column {name} is {values.type}, expected plain values or lists of them")
    lengths = np.zeros(len(values), dtype=np.int64)
    if not (pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_string(kind)):
        return lengths
    if not pa.types.is_dictionary(values.type):
        return _lengths(values)
    of_each, valid = _lengths(values.dictionary), _valid(values.indices)
    indices = _buffer(values.indices, 1, np.dtype(str(values.indices.type)), len(values))
    lengths[valid] = of_each[indices[valid]]
    return lengths


# From the buffers of arrays: their own conversions to NumPy bring all of pandas along where it is installed.


def _lengths(texts: pa.Array) -> NDArray[np.int64]:
    """Bytes of each text, int64 [n]; 0 for a null."""
    kind = (
        np.int64 if pa.types.is_large_string(texts.type) or pa.types.is_large_binary(texts.type) else np.int32
    )
    if len(texts) == 0:
        return np.zeros(0, dtype=np.int64)
    sizes = np.diff(_buffer(texts, 1, kind, len(texts) + 1).astype(np.int64))
    return np.where(_valid(texts), sizes, 0)


def _valid(values: pa.Array) -> NDArray[np.bool_]:
    """[n], false for a null."""
    packed = values.buffers()[0]
    if packed is None:
        return np.ones(len(values), dtype=bool)
    bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), bitorder="little")
    return bits[values.offset : values.offset + len(values)].astype(bool)


def _buffer(values: pa.Array, number: int, kind: Any, count: int) -> NDArray[Any]:
    """``count`` numbers of one of the buffers, from where the array begins in it."""
    return np.frombuffer(values.buffers()[number], dtype=kind)[values.offset : values.offset + count]


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
