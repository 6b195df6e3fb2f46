"""A copy of a store's vectors on a device, searched there exactly; scored by the store's own as ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xmc.errors import ConfigError
from xmc.retrieval.devices import COPIED, empty_on, put_rows
from xmc.retrieval.stores.protocol import SearchedStore

if TYPE_CHECKING:
    import torch

__all__ = ["DeviceStore", "check_vectors"]


class DeviceStore:
    """Finds by products of matrices on a device what a `SearchedStore` holds in some of its slots.

    All vectors are looked at, whatever the kind of the store. `search_store` scores what is found by the
    vectors in the host's memory, so that ids and scores are those of an exact index to the bit.

    Args:
        store: What has the vectors.
        slots: [n] int64, those to be found.
        device: Where the copy is to be: 4 W bytes a vector.

    Raises:
        ConfigError: When the store has no vectors, or they do not fit.
    """

    comparable = True

    def __init__(self, store: SearchedStore, slots: NDArray[np.int64], device: torch.device) -> None:
        self.width, self._store, self._slots = store.width, store, slots
        self._copy = empty_on(device, len(slots), store.width)
        for start in range(0, len(slots), COPIED):
            put_rows(self._copy, start, check_vectors(store, slots[start : start + COPIED]))

    @property
    def reachable(self) -> int:
        """As `SearchedStore` says, like all that follows."""
        return len(self._slots)

    def nearest(  # noqa: D102
        self, queries: NDArray[np.float32], fetch: int, k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        from xmc.retrieval.exact import exact_search

        rows, scores = exact_search(queries, self._copy, min(fetch, len(self._slots)))
        # There are as many as asked for: nothing is left out of the ranking.
        return scores, self._slots[rows]

    def vectors(self, slots: NDArray[np.int64]) -> NDArray[np.float32] | None:  # noqa: D102
        return self._store.vectors(slots)


def check_vectors(store: SearchedStore, slots: NDArray[np.int64]) -> NDArray[np.float32]:
    """The vectors [n, W] of slots.

    Raises:
        ConfigError: When the store has none.
    """
    vectors = store.vectors(slots)
    if vectors is None:
        raise ConfigError(
            "expected an index that keeps its vectors, to search them on a device, got a compressed one: "
            "build it as exact, flat, ivf or hnsw, or with --refine"
        )
    return vectors
