"""By what labels are ranked, score or magnitude, from any search that knows scores alone.

Most models rank labels by their score ``q.e + offset``. Some objectives make scores of either sign likely: a
log-spherical softmax gives a label the odds of its squared score, and a log-Taylor softmax those of
``(s + 1)^2 + 1``. These rank by the magnitude ``|q.w + shift|``. The k largest magnitudes are among the k
largest scores and the k smallest, so two searches, with the query and with its negative, find them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from xmc.errors import ModelError

__all__ = ["search_by"]

Id = TypeVar("Id", np.int32, np.int64)


def search_by(
    ranking: str, search: Callable[[np.float32], tuple[NDArray[Id], NDArray[np.float32]]]
) -> tuple[NDArray[Id], NDArray[np.float32]]:
    """The labels that come first by score or by magnitude, from a search that knows scores alone.

    Args:
        ranking: "score" or "magnitude".
        search: Given 1, ids and scores [N, k] of the k best labels; given -1, the same with queries and
            offsets negated. -1 and -inf where there are fewer.

    Returns:
        Ids and scores, or ids and magnitudes, both [N, k] and of the types that came: best first, ties by id
        ascending, -1 and -inf at the end where there are fewer.

    Raises:
        ModelError: When the ranking is neither.
    """
    if ranking == "score":
        return search(np.float32(1))
    if ranking == "magnitude":
        return _largest(search(np.float32(1)), search(np.float32(-1)))
    raise ModelError(f"expected a model that ranks by score or magnitude, got {ranking!r}: train it again")


def _largest(
    high: tuple[NDArray[Id], NDArray[np.float32]], low: tuple[NDArray[Id], NDArray[np.float32]]
) -> tuple[NDArray[Id], NDArray[np.float32]]:
    """Merge the k largest scores with the k smallest (both [N, k], the latter negated) by magnitude."""
    ids = np.concatenate([high[0], low[0]], axis=1)
    scores = np.concatenate([high[1], low[1]], axis=1)
    k = ids.shape[1] // 2
    magnitudes = np.where(ids < 0, -np.inf, np.abs(scores)).astype(scores.dtype)
    # Where there are few labels both searches find the same ones: by id these are neighbours, and of each
    # pair only the first is kept.
    order = np.lexsort((-magnitudes, ids), axis=1)
    ids, magnitudes = np.take_along_axis(ids, order, 1), np.take_along_axis(magnitudes, order, 1)
    magnitudes[:, 1:][ids[:, 1:] == ids[:, :-1]] = -np.inf
    order = np.lexsort((ids, -magnitudes), axis=1)[:, :k]
    ids, magnitudes = np.take_along_axis(ids, order, 1), np.take_along_axis(magnitudes, order, 1)
    return np.where(magnitudes == -np.inf, -1, ids).astype(ids.dtype), magnitudes
