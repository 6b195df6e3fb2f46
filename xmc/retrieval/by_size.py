"""Ranking by the size of a score where high scores of either sign are likely labels.

A log-spherical softmax gives a label the odds of its squared score, and a log-Taylor softmax those of
``(s + 1)^2 + 1``: both rank by ``|q.w + shift|``. The k largest in size are among the k largest and the k
smallest, so two searches, with the query and with its negative, find them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["search_by_size"]

Id = TypeVar("Id", np.int32, np.int64)


def search_by_size(
    search: Callable[[float], tuple[NDArray[Id], NDArray[np.float32]]],
) -> tuple[NDArray[Id], NDArray[np.float32]]:
    """The labels with the largest ``|score|``.

    Args:
        search: Given 1.0, ids and scores [N, k] of the k best labels; given -1.0, the same with queries and
            offsets negated. -1 and -inf where there are fewer.

    Returns:
        Ids and sizes of scores, both [N, k] and of the types that came: best first, ties by id ascending, -1
        and -inf at the end where there are fewer.
    """
    parts = [search(1.0), search(-1.0)]
    ids = np.concatenate([part[0] for part in parts], axis=1)
    scores = np.concatenate([part[1] for part in parts], axis=1)
    k = ids.shape[1] // 2
    sizes = np.where(ids < 0, -np.inf, np.abs(scores)).astype(scores.dtype)
    order = np.lexsort((-sizes, ids), axis=1)
    ids, sizes = np.take_along_axis(ids, order, 1), np.take_along_axis(sizes, order, 1)
    sizes[:, 1:][ids[:, 1:] == ids[:, :-1]] = -np.inf  # a label that both searches found
    order = np.lexsort((ids, -sizes), axis=1)[:, :k]
    ids, sizes = np.take_along_axis(ids, order, 1), np.take_along_axis(sizes, order, 1)
    return np.where(sizes == -np.inf, -1, ids).astype(ids.dtype), sizes
