"""Ranked lists from (row, label, score) pairs in any order, with the checks predictions must pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmc.errors import DataError

__all__ = ["ListBlock", "lists_from_pairs"]


@dataclass(frozen=True)
class ListBlock:
    """Ranked lists of some rows.

    Attributes:
        rows: int64 [n], rows of the split, each once.
        ids: int64 [n, K] label ids, best first, -1 pads at the end.
        scores: [n, K], as the system gave them; of no meaning at pads.
        place: How an error names the i-th list: "preds.run, query q7".
    """

    rows: NDArray[np.int64]
    ids: NDArray[np.integer]
    scores: NDArray[np.floating]
    place: Callable[[int], str]


def lists_from_pairs(
    owners: NDArray[np.int64],
    labels: NDArray[np.int64],
    scores: NDArray[np.floating],
    room: NDArray[np.int64],
    num_labels: int,
    place: Callable[[int], str],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Sort predictions into lists: score descending, then label id ascending.

    Args:
        owners: [M], which of the n lists each prediction belongs to.
        labels: [M] label ids.
        scores: [M].
        room: [n], how many predictions of each list to keep.
        num_labels: L.
        place: How an error names list i.

    Returns:
        Label ids and scores [n, K], K the longest list that is kept; pads are -1, with a score of 0.

    Raises:
        DataError: When a label is out of range or named twice in a list, or a score is NaN.
    """
    _check(owners, labels, scores, num_labels, place)
    order = np.lexsort((labels, -scores, owners))
    owners, labels, scores = owners[order], labels[order], scores[order]
    counts = np.bincount(owners, minlength=len(room))
    ranks = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = ranks < room[owners]
    ids = np.full((len(room), int(np.minimum(counts, room).max(initial=0))), -1, dtype=np.int64)
    values = np.zeros(ids.shape)
    ids[owners[kept], ranks[kept]] = labels[kept]
    values[owners[kept], ranks[kept]] = scores[kept]
    return ids, values


def _check(
    owners: NDArray[np.int64],
    labels: NDArray[np.int64],
    scores: NDArray[np.floating],
    num_labels: int,
    place: Callable[[int], str],
) -> None:
    wrong = (labels < 0) | (labels >= num_labels)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise DataError(
            f"{place(int(owners[first]))}: expected label ids from 0 to {num_labels - 1}, got {labels[first]}"
        )
    if (unordered := np.isnan(scores)).any():
        raise DataError(
            f"{place(int(owners[int(np.argmax(unordered))]))}: expected scores to be numbers, got NaN"
        )
    keys = np.sort(owners * np.int64(num_labels) + labels)
    if (repeated := keys[1:] == keys[:-1]).any():
        owner, label = divmod(int(keys[int(np.argmax(repeated))]), num_labels)
        raise DataError(f"{place(owner)} names label {label} twice: name each label once")
