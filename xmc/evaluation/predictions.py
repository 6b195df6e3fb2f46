"""Predictions on disk: an npz file with ``ids`` int32 [N, K] and ``scores`` float32 [N, K], best first."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmc.errors import DataError
from xmc.files import atomic_file

__all__ = ["check_predictions", "load_predictions", "save_predictions"]


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


def load_predictions(path: str | Path) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Read ids int32 [N, K] and scores float32 [N, K]; no pickle is loaded.

    Raises:
        DataError: When the file is missing or does not hold valid predictions.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            ids, scores = content["ids"], content["scores"]
    except (OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(
            f"expected {path} to be an npz file with the arrays ids and scores: {error}"
        ) from error
    check_predictions(ids, scores, str(path))
    return ids.astype(np.int32), scores.astype(np.float32)


def check_predictions(ids: NDArray[Any], scores: NDArray[Any], where: str) -> None:
    """Refuse arrays that are not predictions.

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
    _refuse(ids < -1, where, "expected label ids of 0 or more, or -1 as a pad")
    _refuse(pads[:, :-1] & ~pads[:, 1:], where, "expected pads (-1) only at the end of a row")
    _refuse(np.isnan(scores), where, "expected scores to be numbers, got NaN")
    _refuse(
        (scores[:, 1:] > scores[:, :-1]) & ~pads[:, 1:],
        where,
        "expected the best prediction first, but scores rise",
    )


def _refuse(wrong: NDArray[np.bool_], where: str, text: str) -> None:
    if wrong.any():
        raise DataError(f"{where}, row {int(np.argwhere(wrong)[0, 0])}: {text}")
