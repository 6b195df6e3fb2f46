"""Reads columns of a Parquet file with what of pyarrow loads at once.

Its data sets and its tables made of lists bring all of pandas along, its compute functions a wrapper of each:
a search of one text has no time for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from xmc.data.parquet import bounded_batches, open_parquet

__all__ = ["read_columns"]


def read_columns(path: Path, schema: pa.Schema) -> dict[str, list[Any]]:
    """The values of the columns of ``schema``, by name and in their order; no value is missing.

    Raises:
        OSError: When the file cannot be read.
        ValueError: When a column or a value is missing or of another type, or it takes more memory than
            `xmc.data.parquet.check_texts` allows.
        pa.ArrowException: When it is no Parquet file.
    """
    with open_parquet(path, schema.names) as file:
        found = file.schema_arrow
        if missing := [name for name in schema.names if name not in found.names]:
            raise ValueError(f"it has no column {missing[0]}")
        types = [(name, _value_type(found.field(name).type)) for name in schema.names]
        if types != [(field.name, field.type) for field in schema]:
            expected = ", ".join(f"{field.name} {field.type}" for field in schema)
            raise ValueError(
                f"expected {expected}, got {', '.join(f'{name} {kind}' for name, kind in types)}"
            )
        columns: dict[str, list[Any]] = {name: [] for name in schema.names}
        for batch in bounded_batches(file, schema.names, path.stat().st_size):
            for name, values in columns.items():
                values += _values(batch.column(name))
    for name, values in columns.items():
        if None in values:
            raise ValueError(f"a value of its column {name} is missing")
    return columns


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _values(column: pa.Array) -> list[Any]:
    """Of a column; pyarrow's `dictionary_decode` would import its compute functions."""
    if not pa.types.is_dictionary(column.type):
        plain: list[Any] = column.to_pylist()
        return plain
    values = column.dictionary.to_pylist()
    return [None if index is None else values[index] for index in column.indices.to_pylist()]
