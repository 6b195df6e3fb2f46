"""The label rows of a split, one at a time, from a scipy matrix or from sparse text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from xmc.data.importers.reader import LineReader, whole_number
from xmc.data.relevance import load_matrix
from xmc.errors import DataError

__all__ = ["MatrixRow", "MatrixRows", "matrix_rows"]

MatrixRow = tuple[list[int], list[float]]
"""Label ids of a row, and their relevance."""

_PAIR = re.compile(r"(\d+):(\S+)", re.ASCII)


class MatrixRows(Protocol):
    """Rows in order; ``where`` is the file they come from."""

    where: Path

    def __iter__(self) -> Iterator[MatrixRow]:
        """Every row in turn."""
        ...


def matrix_rows(path: Path, num_labels: int) -> MatrixRows:
    """The rows of ``Y.trn.npz`` (scipy) or ``trn_X_Y.txt`` (sparse text, see :class:`TextRows`).

    Raises:
        DataError: When the file is damaged or has not ``num_labels`` columns.
    """
    return NpzRows(path, num_labels) if path.suffix == ".npz" else TextRows(path, num_labels)


class NpzRows:
    """The rows of a matrix saved with ``scipy.sparse.save_npz``; the matrix is read whole."""

    def __init__(self, path: Path, num_labels: int) -> None:
        self.where = path
        self._matrix = load_matrix(path)
        _check_columns(path, self._matrix.shape[1], num_labels)

    def __iter__(self) -> Iterator[MatrixRow]:
        indptr, indices, values = self._matrix.indptr, self._matrix.indices, self._matrix.data
        for start, stop in zip(indptr[:-1], indptr[1:], strict=True):
            yield indices[start:stop].tolist(), values[start:stop].astype(float).tolist()


class TextRows:
    """Sparse text: a header ``rows labels``, then ``label:weight ...`` a row; a blank line is a row."""

    def __init__(self, path: Path, num_labels: int) -> None:
        self.where = path
        self._num_labels = num_labels
        self._lines = LineReader(path)

    def __iter__(self) -> Iterator[MatrixRow]:
        with self._lines.located():
            lines = iter(self._lines)
            num_rows = self._header(next(lines, ""))
            for line in lines:
                if self._lines.number - 1 > num_rows:
                    raise DataError(f"expected {num_rows} rows, as the header says, got more")
                yield self._row(line)
            if self._lines.number - 1 != num_rows:
                raise DataError(f"expected {num_rows} rows, as the header says, the file ends here")

    def _header(self, line: str) -> int:
        parts = line.split()
        if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
            raise DataError(f"expected a header of two numbers, rows and labels, got {line!r:.80}")
        _check_columns(self.where, whole_number(parts[1]), self._num_labels)
        return whole_number(parts[0])

    def _row(self, line: str) -> MatrixRow:
        labels, values = [], []
        for part in line.split():
            match = _PAIR.fullmatch(part)
            if match is None:
                raise DataError(f"expected label:weight, got {part!r:.80}")
            label = whole_number(match[1])
            if label >= self._num_labels:
                raise DataError(f"expected label ids between 0 and {self._num_labels - 1}, got {label}")
            labels.append(label)
            values.append(_number(match[2]))
        return labels, values


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise DataError(f"expected a number as weight, got {text!r:.80}") from error


def _check_columns(path: Path, columns: int, num_labels: int) -> None:
    if columns != num_labels:
        raise DataError(f"{path}: expected {num_labels} columns, one for each label text, got {columns}")
