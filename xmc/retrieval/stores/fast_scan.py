"""Candidates by 4-bit product codes, which FAISS scores 32 at a time in the processor's registers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmc.retrieval.stores.faiss_store import FaissStore

__all__ = ["FastScanStore", "fill_pads"]


class FastScanStore(FaissStore):
    """As `FaissStore`, of a flat index of such codes: it scores none, and finds as many as are asked for.

    FAISS passes over what has the least score that a fast scan can tell apart: a label or two of all, and
    every one where a query fits them alike.
    """

    comparable = False

    def nearest(  # noqa: D102
        self, queries: NDArray[np.float32], fetch: int, k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        scores, slots = super().nearest(queries, fetch, k)
        if slots.min(initial=0) < 0:
            for row in np.flatnonzero(slots[:, -1] < 0).tolist():
                scores[row], slots[row] = fill_pads(scores[row], slots[row])
        return scores, slots


def fill_pads(
    scores: NDArray[np.float32], slots: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A row of scores and slots, both [f], its pads replaced by the first of the slots that are missing.

    There are at least f slots. What was passed over fits no better than the last of the others, whose score
    it gets.
    """
    found = slots[slots >= 0]
    missing = np.setdiff1d(np.arange(len(slots)), found)
    filled = np.concatenate([found, missing])[: len(slots)]
    last = scores[len(found) - 1] if len(found) else np.float32(0)
    return np.where(slots < 0, last, scores), filled
