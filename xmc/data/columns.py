"""Reads columns of a Parquet file, without pyarrow's data sets, whose import brings all of pandas along."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from xmc.data.parquet import bounded_batches, open_parquet

__all__ = ["read_columns"]


def read_columns(path: Path, schema: pa.Schema) -> pa.Table:
    """The columns of ``schema`` in their order; no value is missing.

    Raises:
        OSError: When the file cannot be read.
        ValueError: When a column or a value is missing or of another type, or it takes more memory than
            `xmc.data.parquet.check_texts` allows.
        pa.ArrowException: When it is no Parquet file.
    """
    with open_parquet(path, schema.names) as file:
        if missing := [name for name in schema.names if name not in file.schema_arrow.names]:
            raise ValueError(f"it has no column {missing[0]}")
        batches = []
        for batch in bounded_batches(file, schema.names, path.stat().st_size):
            plain = [_plain(column) for column in batch.select(schema.names).columns]
            batches.append(pa.RecordBatch.from_arrays(plain, names=schema.names))
    table = pa.Table.from_batches(batches, None if batches else schema)
    if not table.schema.equals(schema):
        raise ValueError(f"expected {_types(schema)}, got {_types(table.schema)}")
    for name, column in zip(table.schema.names, table.columns, strict=True):
        if column.null_count:
            raise ValueError(f"a value of its column {name} is missing")
    return table


def _plain(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _types(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
