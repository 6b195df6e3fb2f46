"""Which predictions are right: the one step every metric starts from, with the checks a ranking must pass."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.errors import DataError

__all__ = ["check_ranking", "hit_matrix"]


def hit_matrix(truth: sp.csr_matrix, ids: NDArray[np.integer], *, checked: bool = False) -> NDArray[np.bool_]:
    """Whether each prediction is one of its row's positives.

    Args:
        truth: [N, L] relevance; every stored value other than 0 is a positive, whatever its size.
        ids: [N, K] label ids, best first; -1 where a row has fewer than K predictions.
        checked: Whether `check_ranking` has passed it already.

    Returns:
        bool [N, K]; a pad is never a hit.

    Raises:
        DataError: When the ranking is malformed (see `check_ranking`).
    """
    if not checked:
        check_ranking(ids, truth.shape[0], truth.shape[1])
    truth = sp.csr_matrix(truth)
    if (truth.data == 0).any():
        truth = truth.copy()
        truth.eliminate_zeros()
    num_labels = truth.shape[1]
    rows = np.repeat(np.arange(len(ids), dtype=np.int64), np.diff(truth.indptr))
    keys = rows * num_labels + truth.indices
    if not truth.has_sorted_indices:
        keys.sort()
    if not len(keys):
        return np.zeros(ids.shape, dtype=bool)
    wanted = np.arange(len(ids), dtype=np.int64)[:, None] * num_labels + ids
    # A search for a pad's key could meet the last label of the row before: pads are told apart by their id.
    position = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return (keys[position] == wanted) & (ids >= 0)


def check_ranking(ids: NDArray[np.integer], num_rows: int, num_labels: int, first_row: int = 0) -> None:
    """Refuse a ranking no metric is defined on.

    Raises:
        DataError: When the shape is wrong, an id is out of range, or a row names a label twice.
    """
    if ids.ndim != 2 or len(ids) != num_rows or not np.issubdtype(ids.dtype, np.integer):
        raise DataError(
            f"expected a ranking of label ids (integers) with {num_rows} rows, got {ids.dtype} {ids.shape}"
        )
    if not ids.size:
        return
    wrong = (ids < -1) | (ids >= num_labels)
    if wrong.any():
        row, column = np.argwhere(wrong)[0].tolist()
        raise DataError(
            f"row {first_row + row} of the ranking: expected label ids from 0 to {num_labels - 1} (or -1 as "
            f"a pad), got {ids[row, column]}"
        )
    ordered = np.sort(ids, axis=1)
    repeated = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if repeated.any():
        row, column = np.argwhere(repeated)[0].tolist()
        raise DataError(
            f"row {first_row + row} of the ranking names label {ordered[row, column]} twice: name each "
            "label once"
        )
