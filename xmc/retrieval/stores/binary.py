"""Candidates by Hamming distance: a bit for each component, 32 times smaller, to be scored exactly after.

A bit says on which side of the labels' mean a component is. The mean is that of the first labels; it moves no
score, only which labels are looked at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmc.errors import DataError
from xmc.received import reading
from xmc.retrieval.faiss_module import import_faiss

__all__ = ["BinaryStore"]

_BITS, _MEAN = "bits.npy", "bits_mean.npy"


class BinaryStore:
    """Bits [M, ceil(W / 8)] in FAISS's binary index; row is slot. It finds candidates and scores none."""

    comparable = False
    keeps_dead = True
    lists = 0

    def __init__(self, width: int) -> None:
        self.width = width
        self._mean = np.empty(0, dtype=np.float32)
        self._index = import_faiss().IndexBinaryFlat(8 * -(-width // 8))

    @property
    def next_slot(self) -> int:
        """As `VectorStore` says, like all that follows."""
        return int(self._index.ntotal)

    @property
    def reachable(self) -> int:  # noqa: D102
        return int(self._index.ntotal)

    @property
    def is_trained(self) -> bool:  # noqa: D102
        return len(self._mean) == self.width

    def train(self, vectors: NDArray[np.float32]) -> None:
        """Take the mean."""
        self._mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)

    def add(self, vectors: NDArray[np.float32]) -> None:  # noqa: D102
        self._index.add(np.packbits(vectors > self._mean, axis=1))

    def forget(self, slots: NDArray[np.int64]) -> None:
        """Nothing: row is slot."""

    def nearest(  # noqa: D102
        self, queries: NDArray[np.float32], fetch: int, k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        # The order of q.e is that of q.(e - mean): only labels are centred.
        bits = np.packbits(queries > 0, axis=1)
        distances, slots = self._index.search(bits, min(fetch, self.reachable))
        return -distances.astype(np.float32), slots

    def vectors(self, slots: NDArray[np.int64]) -> None:
        """None."""
        return None

    def exact_vectors(self) -> bool:  # noqa: D102
        return False

    def knobs(self) -> dict[str, int]:  # noqa: D102
        return {}

    def tune(self, parameters: dict[str, int]) -> None:
        """Nothing."""

    def write(self, folder: Path) -> list[str]:  # noqa: D102
        faiss = import_faiss()
        count, bytes_each = self.reachable, self._index.code_size
        bits = faiss.vector_to_array(self._index.xb).reshape(count, bytes_each)
        np.save(folder / _BITS, bits, allow_pickle=False)
        np.save(folder / _MEAN, self._mean, allow_pickle=False)
        return [_BITS, _MEAN]

    @classmethod
    def read(cls, folder: Path, width: int) -> BinaryStore:
        """What `write` wrote; the bits are read into memory.

        Raises:
            DataError: When an array is missing or of another type or shape.
        """
        made = cls(width)
        bits, mean = _load(folder / _BITS), _load(folder / _MEAN)
        if bits.dtype != np.uint8 or bits.ndim != 2 or bits.shape[1] != made._index.code_size:
            raise DataError(
                f"{folder / _BITS}: expected bytes [*, {made._index.code_size}], got {bits.dtype} "
                f"{bits.shape}"
            )
        if mean.dtype != np.float32 or mean.shape != (width,) or not np.isfinite(mean).all():
            raise DataError(
                f"{folder / _MEAN}: expected {width} finite numbers, got {mean.dtype} {mean.shape}"
            )
        made._mean = mean
        made._index.add(bits)
        return made


def _load(path: Path) -> NDArray[Any]:
    with reading(path, "an array of an index's bits", "build the index again"):
        array: NDArray[Any] = np.load(path, allow_pickle=False)
        return array
