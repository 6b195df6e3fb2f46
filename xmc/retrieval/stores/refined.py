"""Candidates of one store, scored by the vectors of another: compressed search with exact scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xmc.retrieval.stores.protocol import VectorStore
from xmc.retrieval.stores.table import TableStore

__all__ = ["REFINE_FACTOR", "RefinedStore"]

REFINE_FACTOR = 10
"""Candidates that are scored exactly for each label asked for."""


class RefinedStore:
    """``candidates`` finds ``refine_factor * k`` slots, and ``table`` has the vectors they are scored by."""

    comparable = False
    keeps_dead = True

    def __init__(self, candidates: VectorStore, table: TableStore) -> None:
        self.candidates, self.table = candidates, table
        self.width, self.refine_factor = table.width, REFINE_FACTOR

    @property
    def lists(self) -> int:
        """As `VectorStore` says, like all that follows."""
        return self.candidates.lists

    @property
    def next_slot(self) -> int:  # noqa: D102
        return self.table.next_slot

    @property
    def reachable(self) -> int:  # noqa: D102
        return self.candidates.reachable

    @property
    def is_trained(self) -> bool:  # noqa: D102
        return self.candidates.is_trained

    def train(self, vectors: NDArray[np.float32]) -> None:  # noqa: D102
        self.candidates.train(vectors)

    def add(self, vectors: NDArray[np.float32]) -> None:  # noqa: D102
        self.candidates.add(vectors)
        self.table.add(vectors)

    def forget(self, slots: NDArray[np.int64]) -> None:  # noqa: D102
        self.candidates.forget(slots)

    def nearest(  # noqa: D102
        self, queries: NDArray[np.float32], fetch: int, k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return self.candidates.nearest(queries, max(fetch, self.refine_factor * k), k)

    def vectors(self, slots: NDArray[np.int64]) -> NDArray[np.float32]:  # noqa: D102
        return self.table.vectors(slots)

    def exact_vectors(self) -> bool:  # noqa: D102
        return self.table.exact_vectors()

    def knobs(self) -> dict[str, int]:  # noqa: D102
        return {**self.candidates.knobs(), "refine_factor": self.refine_factor}

    def tune(self, parameters: dict[str, int]) -> None:  # noqa: D102
        self.candidates.tune(parameters)
        self.refine_factor = parameters.get("refine_factor", self.refine_factor)

    def write(self, folder: Path) -> list[str]:  # noqa: D102
        return [*self.candidates.write(folder), *self.table.write(folder)]
