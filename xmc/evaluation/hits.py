"""Which predictions are right: the one step every metric starts from, with the checks a ranking must pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.errors import DataError
from xmc.evaluation.row_blocks import row_blocks

__all__ = ["Hits", "all_hits", "check_ranking", "find_hits"]


@dataclass(frozen=True)
class Hits:
    """The right predictions of N ranked lists, H of them, by row and then by rank; and the positives.

    Attributes:
        rows: int64 [H], ascending.
        ranks: int64 [H], 0 for the best prediction, ascending within a row.
        labels: int64 [H].
        num_positives: int64 [N], positives of each row.
        positive_labels: int64 [P], the positives of row 0, then of row 1 and so on.
    """

    rows: NDArray[np.int64]
    ranks: NDArray[np.int64]
    labels: NDArray[np.int64]
    num_positives: NDArray[np.int64]
    positive_labels: NDArray[np.int64]

    @property
    def num_rows(self) -> int:
        """N."""
        return len(self.num_positives)

    @property
    def positive_rows(self) -> NDArray[np.int64]:
        """int64 [P], the row of each positive."""
        return np.repeat(np.arange(self.num_rows, dtype=np.int64), self.num_positives)

    def sum_by_row(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """[N]: the sum of one value per hit over each row's hits."""
        sums = np.bincount(self.rows, weights=values, minlength=self.num_rows)
        return np.asarray(sums, dtype=np.float64)

    def matrix(self, k: int) -> NDArray[np.bool_]:
        """Whether each of the first k predictions is right: bool [N, k]; a pad is never."""
        shown = self.ranks < k
        matrix = np.zeros((self.num_rows, k), dtype=bool)
        matrix[self.rows[shown], self.ranks[shown]] = True
        return matrix

    def blocks(self) -> Iterator[tuple[slice, Hits]]:
        """Consecutive rows, few enough to work on at once (see `row_blocks`), and the hits of each."""
        starts = np.concatenate([[0], np.cumsum(self.num_positives)])
        for rows in row_blocks(starts):
            found = slice(*np.searchsorted(self.rows, (rows.start, rows.stop)))
            positives = self.positive_labels[starts[rows.start] : starts[rows.stop]]
            yield (
                rows,
                Hits(
                    self.rows[found] - rows.start,
                    self.ranks[found],
                    self.labels[found],
                    self.num_positives[rows],
                    positives,
                ),
            )


def find_hits(
    truth: sp.csr_matrix,
    ids: NDArray[np.integer],
    first_row: int = 0,
    place: Callable[[int], str] | None = None,
) -> Hits:
    """The predictions that are positives of their row.

    The lists are sorted by label once, which also shows labels named twice; then each positive is looked up.
    So the cost is a sort of rows of K and P look-ups, whatever N x L is; memory is 8 N K bytes.

    Args:
        truth: [N, L] relevance; every stored value other than 0 is a positive, whatever its size.
        ids: [N, K] label ids, best first; -1 where a row has fewer than K predictions.
        first_row: Added to the rows that errors name.
        place: How errors name row i instead.

    Raises:
        DataError: When the ranking is malformed (see `check_ranking`).
    """
    truth = sp.csr_matrix(truth)
    place = place or _row_after(first_row)
    _check_shape_and_range(ids, truth.shape[0], truth.shape[1], place)
    bits = max(1, int(ids.shape[1] - 1).bit_length())
    keys = _sorted_keys(ids, bits)
    _refuse_repeated(keys >> bits, place)
    positives, counts = _positives(truth)
    rows = np.repeat(np.arange(len(ids), dtype=np.int64), counts)
    ranks = _look_up(keys, bits, rows, positives)
    found = np.flatnonzero(ranks >= 0)
    found = found[np.lexsort((ranks[found], rows[found]))]
    return Hits(rows[found], ranks[found], positives[found], counts, positives)


def all_hits(truth: sp.csr_matrix, ids: NDArray[np.integer]) -> Hits:
    """As `find_hits`, of a whole ranking [N, K]: its sorted lists are held for a block of rows at a time.

    Raises:
        DataError: When the ranking is malformed (see `check_ranking`).
    """
    truth = sp.csr_matrix(truth)
    if len(ids) != truth.shape[0]:
        raise DataError(f"expected a ranking of {truth.shape[0]} rows, got {len(ids)}")
    blocks = list(row_blocks(truth.indptr))
    parts = [find_hits(truth[block], ids[block], block.start) for block in blocks]
    if len(parts) == 1:
        return parts[0]
    rows = [part.rows + block.start for part, block in zip(parts, blocks, strict=True)]
    return Hits(
        _joined(rows),
        _joined([part.ranks for part in parts]),
        _joined([part.labels for part in parts]),
        _joined([part.num_positives for part in parts]),
        _joined([part.positive_labels for part in parts]),
    )


def check_ranking(
    ids: NDArray[np.integer], num_rows: int, num_labels: int, place: Callable[[int], str] | None = None
) -> None:
    """Refuse a ranking no metric is defined on; ``place`` says how errors name row i.

    Raises:
        DataError: When the shape is wrong, an id is out of range, or a row names a label twice.
    """
    place = place or _row_after(0)
    _check_shape_and_range(ids, num_rows, num_labels, place)
    _refuse_repeated(np.sort(ids, axis=1), place)


def _joined(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _row_after(first_row: int) -> Callable[[int], str]:
    return lambda row: f"row {first_row + row} of the ranking"


def _check_shape_and_range(
    ids: NDArray[np.integer], num_rows: int, num_labels: int, place: Callable[[int], str]
) -> None:
    if ids.ndim != 2 or len(ids) != num_rows or not np.issubdtype(ids.dtype, np.integer):
        raise DataError(
            f"expected a ranking of label ids (integers) with {num_rows} rows, got {ids.dtype} {ids.shape}"
        )
    if not ids.size or (ids.min() >= -1 and ids.max() < num_labels):
        return
    row, column = np.argwhere((ids < -1) | (ids >= num_labels))[0].tolist()
    raise DataError(
        f"{place(row)}: expected label ids from 0 to {num_labels - 1} (or -1 as a pad), got "
        f"{ids[row, column]}"
    )


def _refuse_repeated(ordered: NDArray[np.integer], place: Callable[[int], str]) -> None:
    """Refuse rows of ascending label ids [N, K] that hold one twice."""
    repeated = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if repeated.any():
        row, column = np.argwhere(repeated)[0].tolist()
        raise DataError(f"{place(row)} names label {ordered[row, column]} twice: name each label once")


def _sorted_keys(ids: NDArray[np.integer], bits: int) -> NDArray[np.int64]:
    """int64 [N, K], each row ascending: label id in the high bits, rank in the low; pads are negative."""
    keys = (ids.astype(np.int64) << bits) | np.arange(ids.shape[1], dtype=np.int64)
    keys.sort(axis=1)
    return keys


def _look_up(
    keys: NDArray[np.int64], bits: int, rows: NDArray[np.int64], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The rank [P] of each label in its row's list, or -1; all rows halve their intervals in step."""
    width = keys.shape[1]
    if not width:
        return np.full(len(rows), -1, dtype=np.int64)
    flat, wanted = keys.reshape(-1), labels << bits
    start = rows * width
    low, high = start.copy(), start + width
    for _ in range(width.bit_length()):
        middle = (low + high) >> 1
        below = (low < high) & (flat[np.minimum(middle, len(flat) - 1)] < wanted)
        low = np.where(below, middle + 1, low)
        high = np.where(below, high, middle)
    inside = low < start + width
    key = flat[np.where(inside, low, 0)]
    return np.where(inside & (key >> bits == labels), key & ((1 << bits) - 1), -1)


def _positives(truth: sp.csr_matrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels [P] of the positives in order of row, and their number in each row [N]; entries count once."""
    if not truth.has_canonical_format:
        truth = truth.copy()
        truth.sum_duplicates()
    kept = truth.data != 0
    if kept.all():
        return truth.indices.astype(np.int64), np.diff(truth.indptr).astype(np.int64)
    rows = np.repeat(np.arange(truth.shape[0]), np.diff(truth.indptr))[kept]
    return truth.indices[kept].astype(np.int64), np.bincount(rows, minlength=truth.shape[0])
