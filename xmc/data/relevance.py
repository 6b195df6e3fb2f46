"""Sparse [N, L] matrices: built row by row, saved without pickle, checked when read."""

from __future__ import annotations

import hashlib
import operator
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from xmc.data.npz import check_npz, check_unpacked
from xmc.errors import DataError
from xmc.limits import MAX_IDS
from xmc.received import reading

__all__ = ["RelevanceBuilder", "fold", "load_matrix", "matrix_digest", "save_matrix"]

_MAX_ID = MAX_IDS
_MAX_RELEVANCE = float(np.finfo(np.float32).max)


def fold(label_ids: Iterable[int], relevance: Sequence[float] | None) -> tuple[list[int], list[float]]:
    """Ascending distinct label ids and their relevance.

    A repeated id keeps its largest relevance; an id of relevance 0 is left out.

    Raises:
        DataError: For a negative or oversized id, a negative or infinite relevance, or unequal lengths.
    """
    try:
        ids = [operator.index(i) for i in label_ids]
    except TypeError as error:
        raise DataError(f"expected label ids to be integers ({error})") from error
    best = dict.fromkeys(ids, 1.0) if relevance is None else _largest(ids, relevance)
    unique = sorted(best)
    if unique and (unique[0] < 0 or unique[-1] > _MAX_ID):
        bad = unique[0] if unique[0] < 0 else unique[-1]
        raise DataError(f"expected a label id between 0 and {_MAX_ID}, got {bad}")
    return unique, [best[label] for label in unique]


def _largest(ids: Sequence[int], relevance: Sequence[float]) -> dict[int, float]:
    if len(relevance) != len(ids):
        raise DataError(f"expected one relevance for each of {len(ids)} labels, got {len(relevance)}")
    best: dict[int, float] = {}
    for label, value in zip(ids, relevance, strict=True):
        if not 0 <= value <= _MAX_RELEVANCE:  # kept as float32
            raise DataError(
                f"expected a finite relevance of at least 0 for label {label}, got {str(value):.40}"
            )
        if value > best.get(label, 0.0):
            best[label] = value
    return best


class RelevanceBuilder:
    """Gathers the rows of one split: 8 bytes per pair and 8 bytes per row."""

    def __init__(self) -> None:
        self._indptr = array("q", [0])
        self._indices = array("i")
        self._values = array("f")

    def __len__(self) -> int:
        """Rows so far."""
        return len(self._indptr) - 1

    def add(self, label_ids: Sequence[int], values: Sequence[float]) -> None:
        """Append a row of ascending distinct ids (see :func:`fold`)."""
        self._indices.extend(label_ids)
        self._values.extend(values)
        self._indptr.append(len(self._indices))

    def build(self, num_labels: int, split: str) -> sp.csr_matrix:
        """The rows as float32 CSR [N, L], indices sorted.

        Raises:
            DataError: When a row names a label that does not exist.
        """
        indices = np.asarray(self._indices, dtype=np.int32)
        indptr = np.asarray(self._indptr, dtype=np.int64)
        if len(indices) and indices.max() >= num_labels:
            pair = int(np.argmax(indices >= num_labels))
            row = int(np.searchsorted(indptr, pair, side="right")) - 1
            raise DataError(
                f"{split} row {row} (0-based): expected label ids below {num_labels}, the number of labels, "
                f"got {indices[pair]}"
            )
        values = np.asarray(self._values, dtype=np.float32)
        matrix = sp.csr_matrix((values, indices, indptr), shape=(len(self), num_labels))
        # The float32 cast can underflow a tiny relevance to a stored zero.
        matrix.eliminate_zeros()
        matrix.has_sorted_indices = True
        return matrix


def save_matrix(path: Path, matrix: sp.csr_matrix, *, packed: bool = True) -> None:
    """Save a CSR with ``scipy.sparse.save_npz``; unpacked also where :func:`load_matrix` would refuse it."""
    sp.save_npz(path, matrix, compressed=packed)
    try:
        check_npz(path)
        _check_rows(path, matrix.shape[0])
    except ValueError:
        sp.save_npz(path, matrix, compressed=False)


def load_matrix(path: Path) -> sp.csr_matrix:
    """A matrix that ``scipy.sparse.save_npz`` wrote, as checked CSR of numbers with sorted indices.

    Raises:
        DataError: When the file is missing, truncated, not such a matrix, inconsistent, or takes far more
            memory than it is large.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: expected a sparse matrix saved with scipy.sparse.save_npz, found no such file"
        )
    with reading(path, "a sparse matrix saved with scipy.sparse.save_npz"):
        arrays = check_npz(path)
        _check_arrays(path, arrays)
        saved = sp.load_npz(path)
        if max(saved.shape) > MAX_IDS:
            raise ValueError(f"its shape is {saved.shape}, and ids end at {MAX_IDS}")
        _check_rows(path, saved.shape[0])
        matrix = sp.csr_matrix(saved)
        matrix.check_format(full_check=True)
        matrix.sum_duplicates()
    return matrix


def _check_rows(path: Path, num_rows: int) -> None:
    # Row pointers, which no byte of the file stands for where it is not CSR.
    check_unpacked(8 * (num_rows + 1), path.stat().st_size)


def _check_arrays(path: Path, arrays: dict[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> None:
    shape, _ = arrays["shape"]
    if shape != (2,):
        raise ValueError(f"its shape is {list(shape)} numbers, expected 2")
    for name, (_, dtype) in arrays.items():
        kinds = {"format": "SU", "data": "biuf"}.get(name, "iu" if name != "_is_array" else "b")
        if dtype.kind not in kinds:
            raise ValueError(f"{name} is of type {dtype}")


def matrix_digest(matrix: sp.csr_matrix) -> str:
    """SHA-256 of a CSR's shape and content, the same whatever its index type."""
    digest = hashlib.sha256(repr(tuple(int(n) for n in matrix.shape)).encode())
    digest.update(matrix.indptr.astype("<i8").tobytes())
    digest.update(matrix.indices.astype("<i4").tobytes())
    digest.update(matrix.data.astype("<f4").tobytes())
    return digest.hexdigest()
