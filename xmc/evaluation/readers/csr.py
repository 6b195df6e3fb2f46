"""Reads sparse score matrices [N, L] that ``scipy.sparse.save_npz`` wrote as CSR; PECOS writes the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xmc.errors import DataError
from xmc.evaluation.npy_stream import NpyReader
from xmc.evaluation.readers.blocks import ListBlock, lists_from_pairs
from xmc.evaluation.readers.target import Target
from xmc.evaluation.row_blocks import row_blocks

__all__ = ["read_csr"]

_FORMAT_BYTES = 64


def read_csr(path: Path, target: Target) -> Iterator[ListBlock]:
    """Blocks of rows in order. A stored value is a prediction, 0 and negative ones too.

    Held in memory: the row pointers [N + 1] and a block of about half a million pairs.

    Raises:
        DataError: When it is no CSR matrix [N, L] of numbers; the text names file and row.
    """
    starts = _row_pointers(path, target)
    with NpyReader(path, "indices") as indices, NpyReader(path, "data") as data:
        for name, array in (("indices", indices), ("data", data)):
            if array.shape != (int(starts[-1]),):
                raise DataError(
                    f"{path}: expected {starts[-1]} items of {name} by its indptr, got {list(array.shape)}"
                )
        if not np.issubdtype(indices.dtype, np.integer) or data.dtype.kind not in "biuf":
            raise DataError(
                f"{path}: expected integer indices and scores that are numbers, got {indices.dtype} and "
                f"{data.dtype}"
            )
        for block in row_blocks(starts):
            start, stop = block.start, block.stop
            counts = np.diff(starts[start : stop + 1])
            labels, scores = indices.take(int(counts.sum())), data.take(int(counts.sum()))
            lists = lists_from_pairs(
                np.repeat(np.arange(stop - start, dtype=np.int64), counts),
                labels.astype(np.int64),
                scores.astype(np.float64),
                target.depth + target.num_excluded[start:stop],
                target.num_labels,
                _place(path, start),
            )
            yield ListBlock(np.arange(start, stop), *lists, _place(path, start))


def _row_pointers(path: Path, target: Target) -> NDArray[np.int64]:
    with NpyReader(path, "format") as kind, NpyReader(path, "shape") as shape:
        if math.prod(kind.shape) != 1 or kind.dtype.kind not in "SU" or kind.dtype.itemsize > _FORMAT_BYTES:
            raise DataError(f"{path}: expected the name of a sparse format, got {kind.dtype} {kind.shape}")
        if shape.shape != (2,) or shape.dtype.kind not in "iu":
            raise DataError(f"{path}: expected a shape of two numbers, got {shape.dtype} {shape.shape}")
        # Written as bytes by some versions, as text by others.
        name = np.atleast_1d(kind.take(1) if kind.shape else _scalar(kind))[0]
        name = name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)
        size = tuple(int(n) for n in shape.take(shape.shape[0]))
    if name != "csr":
        raise DataError(f"{path}: expected a CSR matrix, got format {name}: save matrix.tocsr()")
    if size != (target.num_rows, target.num_labels):
        raise DataError(f"{path}: expected a matrix {(target.num_rows, target.num_labels)}, got {size}")
    with NpyReader(path, "indptr") as pointers:
        if pointers.dtype.kind not in "iu":
            raise DataError(f"{path}: expected row pointers to be integers, got {pointers.dtype}")
        if pointers.shape != (target.num_rows + 1,):
            raise DataError(
                f"{path}: expected {target.num_rows + 1} row pointers, got {list(pointers.shape)}"
            )
        starts = pointers.take(target.num_rows + 1).astype(np.int64)
    if starts[0] != 0 or (np.diff(starts) < 0).any():
        raise DataError(f"{path}: expected row pointers that start at 0 and never fall")
    if (longest := int(np.diff(starts).max(initial=0))) > target.num_labels:
        raise DataError(f"{path}: expected at most {target.num_labels:,} predictions a row, got {longest:,}")
    return starts


def _scalar(array: NpyReader) -> NDArray[np.generic]:
    """The one item of an array without dimensions."""
    array.shape = (1,)
    return array.take(1)


def _place(path: Path, start: int) -> Callable[[int], str]:
    return lambda row: f"{path}, row {start + row}"
