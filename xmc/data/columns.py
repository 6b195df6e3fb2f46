"""Reads columns of a Parquet file, without pyarrow's data sets, whose import brings all of pandas along."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["read_columns"]


def read_columns(path: Path, schema: pa.Schema) -> pa.Table:
    """The columns of ``schema`` in their order.

    Raises:
        OSError: When the file cannot be read.
        pa.ArrowException: When it is no Parquet file, or a column is missing or of another type.
    """
    with pq.ParquetFile(path) as file:
        if missing := [name for name in schema.names if name not in file.schema_arrow.names]:
            raise pa.ArrowInvalid(f"it has no column {missing[0]}")
        table = file.read(columns=schema.names).select(schema.names)
    if not table.schema.equals(schema):
        raise pa.ArrowInvalid(f"expected {_types(schema)}, got {_types(table.schema)}")
    return table


def _types(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
