"""Ranges of rows that are small enough to work on at once, by rows and by what is stored in them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["row_blocks"]

MAX_ROWS = 16_384
MAX_PAIRS = 1 << 19


def row_blocks(
    indptr: NDArray[np.integer], max_rows: int | None = None, max_pairs: int | None = None
) -> Iterator[slice]:
    """Consecutive slices of the rows of a CSR matrix, each of one row at least.

    Args:
        indptr: The matrix's row pointers [N + 1].
        max_rows: Rows of a slice, by default 16,384.
        max_pairs: Stored pairs of a slice of several rows, by default 524,288.
    """
    max_rows, max_pairs = max_rows or MAX_ROWS, max_pairs or MAX_PAIRS
    start, num_rows = 0, len(indptr) - 1
    while start < num_rows:
        fitting = int(np.searchsorted(indptr, int(indptr[start]) + max_pairs, side="right")) - 1
        stop = min(max(fitting, start + 1), start + max_rows, num_rows)
        yield slice(start, stop)
        start = stop
