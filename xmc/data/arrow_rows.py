"""Rows of an Arrow file by position, memory-mapped: a text is read from disk when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["ArrowRows"]


class ArrowRows:
    """The record batches of a file in Arrow's stream format, whose columns hold strings without a gap.

    Args:
        path: The file; it is mapped for as long as this is there.

    Raises:
        OSError, pa.ArrowException: When it cannot be read, or what it says of itself cannot be.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
            self._batches = list(reader)
            self.names: list[str] = reader.schema.names
        for batch in self._batches:
            # Arrow trusts what is mapped: a damaged offset would be read far outside the file.
            batch.validate(full=True)
        self._bounds = np.cumsum([0, *(batch.num_rows for batch in self._batches)])

    def __reduce__(self) -> tuple[type[ArrowRows], tuple[Path]]:
        """Another process maps the file itself."""
        return ArrowRows, (self._path,)

    def __len__(self) -> int:
        """Rows of all batches."""
        return int(self._bounds[-1])

    def between(self, start: int, stop: int, names: Sequence[str]) -> list[list[str]]:
        """Of each named column the values of rows ``start`` to ``stop``, which are there."""
        found: list[list[str]] = [[] for _ in names]
        first = int(np.searchsorted(self._bounds, start, side="right")) - 1
        for batch, low in zip(self._batches[first:], self._bounds[first:].tolist(), strict=False):
            if low >= stop:
                break
            part = batch.slice(max(0, start - low), min(stop - low, batch.num_rows) - max(0, start - low))
            for values, name in zip(found, names, strict=True):
                values += part.column(name).to_pylist()
        return found

    def at(self, rows: NDArray[np.int64], names: Sequence[str]) -> list[list[str]]:
        """Of each named column the values of rows [n], which are there, in the order asked for."""
        batches = np.searchsorted(self._bounds, rows, side="right") - 1
        used = set(batches.tolist())
        places = list(zip(batches.tolist(), (rows - self._bounds[batches]).tolist(), strict=True))
        found = []
        for name in names:
            columns = {batch: self._batches[batch].column(name) for batch in used}
            # One by one: taken from each batch together, rows that lie apart take longer.
            found.append([columns[batch][row].as_py() for batch, row in places])
        return found
