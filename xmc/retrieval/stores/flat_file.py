"""A flat FAISS index as its file has it, for one search: FAISS takes a tenth of a second to import.

What finds the candidates does not matter to a flat index: all vectors are scored, and the best are scored
again by `xmc.retrieval.stores.search`. Whatever else is asked for makes FAISS's own index of the vectors.
"""

from __future__ import annotations

import struct
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing import Any

    from xmc.retrieval.stores.faiss_store import FaissStore

__all__ = ["FlatFileStore"]

_HEADER = struct.Struct("<4siqqqBi")
"""How FAISS begins an index: its kind, the width, the count, two numbers without a meaning, whether it is
trained, and its metric."""
_COUNT = struct.Struct("<Q")
_KINDS = b"IxM2", b"IxFI"
"""A flat index by the inner product, in one that knows the slots."""
_INNER_PRODUCT = 0


class FlatFileStore:
    """A `VectorStore` of a flat FAISS index; :meth:`read` makes it.

    Args:
        vectors: float32 [n, W].
        slots: int64 [n], ascending.
        next_slot: The slot of the next vector.
    """

    comparable = True
    keeps_dead = False
    lists = 0
    is_trained = True

    def __init__(self, vectors: NDArray[np.float32], slots: NDArray[np.int64], next_slot: int) -> None:
        self._rows: tuple[NDArray[np.float32], NDArray[np.int64]] | None = (vectors, slots)
        self._first_next, self.width = next_slot, int(vectors.shape[1])
        self._made: FaissStore | None = None
        self._making, self._searched = Lock(), False

    @classmethod
    def read(cls, path: Path, next_slot: int) -> FlatFileStore | None:
        """Of a file whose checksum is known to be right; None where FAISS has to read it.

        Raises:
            OSError: When it cannot be read.
        """
        with open(path, "rb") as file:
            start = file.read(2 * _HEADER.size + _COUNT.size)
            if len(start) < 2 * _HEADER.size + _COUNT.size:
                return None
            outer, inner = _HEADER.unpack_from(start), _HEADER.unpack_from(start, _HEADER.size)
            if (outer[0], inner[0]) != _KINDS or outer[1:] != inner[1:] or inner[-2:] != (1, _INNER_PRODUCT):
                return None
            width, count = inner[1:3]
            if width <= 0 or count <= 0:
                return None
            numbers, size = width * count, path.stat().st_size
            if _COUNT.unpack_from(start, 2 * _HEADER.size) != (numbers,):
                return None
            if size != len(start) + 4 * numbers + _COUNT.size + 8 * count:
                return None
            vectors = np.fromfile(file, dtype="<f4", count=numbers)
            if _COUNT.unpack(file.read(_COUNT.size)) != (count,):
                return None
            slots = np.fromfile(file, dtype="<i8", count=count)
        if slots[0] < 0 or (slots[1:] <= slots[:-1]).any():
            return None
        return cls(vectors.reshape(count, width), slots, next_slot)

    @property
    def _whole(self) -> FaissStore:
        """FAISS's own store of the same, made when first asked for; then the vectors are kept there alone."""
        with self._making:
            if self._rows is not None:
                from xmc.retrieval.faiss_index import make_index
                from xmc.retrieval.stores.faiss_store import FaissStore

                index = make_index(self.width, "Flat")
                index.add_with_ids(*self._rows)
                self._made, self._rows = FaissStore(index, "Flat", self._first_next), None
        assert self._made is not None
        return self._made

    @property
    def index(self) -> Any:
        """FAISS's own."""
        return self._whole.index

    @property
    def next_slot(self) -> int:
        """As `VectorStore` says, like all that follows."""
        return self._first_next if self._rows is not None else self._whole.next_slot

    @property
    def reachable(self) -> int:  # noqa: D102
        rows = self._rows
        return self._whole.reachable if rows is None else len(rows[1])

    def train(self, vectors: NDArray[np.float32]) -> None:  # noqa: D102
        self._whole.train(vectors)

    def add(self, vectors: NDArray[np.float32]) -> None:  # noqa: D102
        self._whole.add(vectors)

    def forget(self, slots: NDArray[np.int64]) -> None:  # noqa: D102
        self._whole.forget(slots)

    def nearest(  # noqa: D102
        self, queries: NDArray[np.float32], fetch: int, k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        rows = self._rows
        if rows is None or self._searched or len(queries) != 1:
            return self._whole.nearest(queries, fetch, k)
        self._searched = True  # who searches again goes on searching
        scores = rows[0] @ queries[0]
        fetch = min(fetch, len(scores))
        best = np.argpartition(-scores, fetch - 1)[:fetch]
        best = best[np.argsort(-scores[best], kind="stable")]
        return scores[best][None], rows[1][best][None]

    def vectors(self, slots: NDArray[np.int64]) -> NDArray[np.float32] | None:  # noqa: D102
        rows = self._rows
        if rows is None:
            return self._whole.vectors(slots)
        return rows[0][np.minimum(np.searchsorted(rows[1], slots), len(rows[1]) - 1)]

    def exact_vectors(self) -> bool:  # noqa: D102
        return True

    def knobs(self) -> dict[str, int]:  # noqa: D102
        return {}

    def tune(self, parameters: dict[str, int]) -> None:  # noqa: D102
        """Nothing: every vector is scored."""

    def write(self, folder: Path) -> list[str]:  # noqa: D102
        return self._whole.write(folder)
