"""Predictions on disk: an npz file with ``ids`` int32 [N, K] and ``scores`` float32 [N, K], best first."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from xmc.data.npz import check_npz
from xmc.errors import DataError
from xmc.evaluation.npy_stream import write_npz
from xmc.files import atomic_file
from xmc.limits import MAX_IDS
from xmc.received import reading

__all__ = [
    "PredictionsWriter",
    "check_predictions",
    "load_predictions",
    "save_predictions",
    "write_predictions",
]


def save_predictions(path: str | Path, ids: NDArray[np.integer], scores: NDArray[np.floating]) -> None:
    """Write predictions; the file appears whole or not at all.

    Args:
        path: The file, by custom ``*.npz``.
        ids: [N, K] label ids, best first, -1 pads at the end of a row.
        scores: [N, K], not increasing along a row.

    Raises:
        DataError: When they are not such predictions; the text names the row.
    """
    ids, scores = np.asarray(ids), np.asarray(scores)
    check_predictions(ids, scores, "predictions")
    with atomic_file(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, ids=ids.astype(np.int32), scores=scores.astype(np.float32))


class PredictionsWriter:
    """Takes predictions block by block; see `write_predictions`."""

    def __init__(self, ids: IO[bytes], scores: IO[bytes]) -> None:
        self._ids, self._scores = ids, scores
        self.num_rows = 0
        self.width: int | None = None

    def add(self, ids: NDArray[np.integer], scores: NDArray[np.floating]) -> None:
        """The next rows: ids and scores [n, K], K the same in every block.

        Raises:
            DataError: When they are not predictions; the text names the row.
        """
        check_predictions(ids, scores, "predictions", self.num_rows)
        if self.width not in (None, ids.shape[1]):
            raise DataError(f"expected blocks of {self.width} predictions per row, got {ids.shape[1]}")
        self.width = ids.shape[1]
        self.num_rows += len(ids)
        self._ids.write(np.ascontiguousarray(ids, dtype="<i4").data)
        self._scores.write(np.ascontiguousarray(scores, dtype="<f4").data)


@contextmanager
def write_predictions(path: str | Path) -> Iterator[PredictionsWriter]:
    """Write what `save_predictions` writes from blocks of rows: memory holds a block, the disk a copy of all.

    The file appears whole when the block of code ends, or not at all.
    """
    with atomic_file(path) as temporary, tempfile.TemporaryDirectory(dir=temporary.parent) as folder:
        parts = Path(folder) / "ids", Path(folder) / "scores"
        with open(parts[0], "wb") as ids, open(parts[1], "wb") as scores:
            writer = PredictionsWriter(ids, scores)
            yield writer
        shape = (writer.num_rows, writer.width or 0)
        write_npz(temporary, [("ids", shape, "<i4", parts[0]), ("scores", shape, "<f4", parts[1])])


def load_predictions(path: str | Path) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Read ids int32 [N, K] and scores float32 [N, K]; no pickle is loaded.

    Raises:
        DataError: When the file is missing or does not hold valid predictions.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"expected {path} to be an npz file with the arrays ids and scores: there is no such file"
        )
    with reading(path, "an npz file with the arrays ids and scores"):
        check_npz(path)
        with np.load(path, allow_pickle=False) as content:
            ids, scores = content["ids"], content["scores"]
    check_predictions(ids, scores, str(path))
    if ids.size and ids.max() > MAX_IDS:
        raise DataError(f"{path}: expected label ids of at most {MAX_IDS}, got {ids.max()}")
    return ids.astype(np.int32), scores.astype(np.float32)


def check_predictions(ids: NDArray[Any], scores: NDArray[Any], where: str, first_row: int = 0) -> None:
    """Refuse arrays that are not predictions; ``first_row`` is added to the rows that errors name.

    Raises:
        DataError: Naming ``where`` and the row.
    """
    if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
        raise DataError(f"{where}: expected ids to be integers [N, K], got {ids.dtype} {ids.shape}")
    if scores.shape != ids.shape or not np.issubdtype(scores.dtype, np.floating):
        raise DataError(
            f"{where}: expected scores to be numbers {ids.shape} like ids, got {scores.dtype} {scores.shape}"
        )
    pads = ids == -1
    rises = (scores[:, 1:] > scores[:, :-1]) & ~pads[:, 1:]
    for wrong, text in (
        (ids < -1, "expected label ids of 0 or more, or -1 as a pad"),
        (pads[:, :-1] & ~pads[:, 1:], "expected pads (-1) only at the end of a row"),
        (np.isnan(scores), "expected scores to be numbers, got NaN"),
        (rises, "expected the best prediction first, but scores rise"),
    ):
        if wrong.any():
            raise DataError(f"{where}, row {first_row + int(np.argwhere(wrong)[0, 0])}: {text}")
