"""Reads npz files of ``ids`` and ``scores`` [N, K], as `xmc.evaluation.save_predictions` writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xmc.errors import DataError
from xmc.evaluation.npy_stream import NpyReader
from xmc.evaluation.predictions import check_predictions
from xmc.evaluation.readers.blocks import ListBlock
from xmc.evaluation.readers.target import Target
from xmc.limits import MAX_LIST

__all__ = ["read_npz"]

_BLOCK_NUMBERS = 1 << 21


def read_npz(path: Path, target: Target) -> Iterator[ListBlock]:
    """Blocks of rows in order. Equal scores are put in order of label id.

    Raises:
        DataError: When the arrays are not predictions for these rows; the text names file and row.
    """
    with NpyReader(path, "ids") as ids, NpyReader(path, "scores") as scores:
        _check_shape(path, ids, scores, target.num_rows, target.num_labels)
        step = max(1, _BLOCK_NUMBERS // max(1, ids.shape[1]))
        for start in range(0, target.num_rows, step):
            count = min(step, target.num_rows - start)
            part, values = ids.take(count), scores.take(count)
            check_predictions(part, values, str(path), start)
            rows = np.arange(start, start + count)
            yield ListBlock(rows, _in_order(part, values), values, _place(path, start))


def _check_shape(path: Path, ids: NpyReader, scores: NpyReader, num_rows: int, num_labels: int) -> None:
    if len(ids.shape) != 2 or ids.shape[0] != num_rows or scores.shape != ids.shape:
        raise DataError(
            f"{path}: expected ids and scores [N, K] of the split's {num_rows} rows, got "
            f"{list(ids.shape)} and {list(scores.shape)}"
        )
    if ids.shape[1] > (most := max(num_labels, MAX_LIST)):
        raise DataError(f"{path}: expected lists of at most {most:,} predictions, got {ids.shape[1]:,}")


def _place(path: Path, start: int) -> Callable[[int], str]:
    return lambda row: f"{path}, row {start + row}"


def _in_order(ids: NDArray[np.integer], scores: NDArray[np.floating]) -> NDArray[np.integer]:
    """The lists with equal scores in order of label id; most have none, and are left as they are."""
    late = (scores[:, 1:] == scores[:, :-1]) & (ids[:, 1:] < ids[:, :-1]) & (ids[:, 1:] >= 0)
    tied = np.flatnonzero(late.any(axis=1))
    if not len(tied):
        return ids
    ids = ids.copy()
    last = np.int64(np.iinfo(np.int64).max)  # of that type: ids may be shorter
    keys = np.where(ids[tied] < 0, last, ids[tied].astype(np.int64)), -scores[tied].astype(np.float64)
    ids[tied] = np.take_along_axis(ids[tied], np.lexsort(keys, axis=1), axis=1)
    return ids
