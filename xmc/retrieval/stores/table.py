"""Vectors in one array, scored one and all by torch: exact, without FAISS, and opened as a memory map."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xmc.errors import ConfigError, DataError
from xmc.received import reading
from xmc.retrieval.mapped import to_read

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["STORAGES", "TableStore"]

STORAGES = {"float32": np.float32, "float16": np.float16, "int8": np.int8}
"""Bytes of a component: 4, 2, 1. int8 has a scale for each vector, its largest component over 127."""

_TILE_SCORES = 1 << 24
_BLOCK_BYTES = 1 << 20
"""Of float32 made at once of smaller numbers: it stays in a core's cache."""
_LARGEST_HALF = 65_504.0
_CODES, _SCALES, _OFFSETS = "vectors.npy", "vector_scales.npy", "vector_offsets.npy"


class TableStore:
    """Codes [M, D], and float32 [M] scales and offsets where there are any; row is slot.

    The offset is a column of its own in float32, so that half precision and int8 do not round it.
    """

    comparable = keeps_dead = is_trained = True
    lists = 0

    def __init__(self, dimension: int, with_offsets: bool, storage: str = "float32") -> None:
        if storage not in STORAGES:
            raise ConfigError(f"expected a storage of {', '.join(STORAGES)}, got {storage!r}")
        self.dimension, self.with_offsets, self.storage = dimension, with_offsets, storage
        self.width = dimension + with_offsets
        self._codes: NDArray[Any] = np.empty((0, dimension), dtype=STORAGES[storage])
        self._scales = np.empty(0, dtype=np.float32)
        self._offsets = np.empty(0, dtype=np.float32)
        self._count = 0

    @property
    def next_slot(self) -> int:
        """As `VectorStore` says, like all that follows."""
        return self._count

    @property
    def reachable(self) -> int:  # noqa: D102
        return self._count

    def train(self, vectors: NDArray[np.float32]) -> None:
        """Nothing: there is nothing to learn."""

    def add(self, vectors: NDArray[np.float32]) -> None:  # noqa: D102
        codes, scales = _encoded(vectors[:, : self.dimension], self.storage)
        self._codes = _appended(self._codes, codes, self._count)
        if scales is not None:
            self._scales = _appended(self._scales, scales, self._count)
        if self.with_offsets:
            self._offsets = _appended(self._offsets, vectors[:, -1], self._count)
        self._count += len(vectors)

    def forget(self, slots: NDArray[np.int64]) -> None:
        """Nothing: the rows stay until the index moves those that are left."""

    def nearest(  # noqa: D102
        self, queries: NDArray[np.float32], fetch: int, k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        import torch  # FAISS finds without it

        fetch = min(fetch, self._count)
        rows = torch.from_numpy(np.ascontiguousarray(queries))
        best = torch.full((len(rows), 0), -torch.inf)
        slots = torch.empty((len(rows), 0), dtype=torch.int64)
        step = max(4096, _TILE_SCORES // max(len(rows), 1))
        with torch.inference_mode():
            for start in range(0, self._count, step):
                tile = self._scores(rows, start, min(start + step, self._count))
                scores, columns = torch.topk(tile, min(fetch, tile.shape[1]), dim=1)
                best, slots = torch.cat([best, scores], 1), torch.cat([slots, columns + start], 1)
                if best.shape[1] > fetch:
                    best, order = torch.topk(best, fetch, dim=1)
                    slots = slots.gather(1, order)
        return best.numpy(), slots.numpy()

    def _scores(self, queries: Tensor, start: int, stop: int) -> Tensor:
        import torch

        scores = torch.empty(len(queries), stop - start)
        own = queries[:, : self.dimension].contiguous()
        for first, block in _float_blocks(self._codes[start:stop], 4 * len(own)):
            part = scores[:, first : first + len(block)]
            # A product of one row goes to a slower kernel than that of a matrix and a vector.
            if len(own) == 1:
                torch.mv(block, own[0], out=part[0])
            else:
                torch.mm(own, block.T, out=part)
        if self.storage == "int8":
            scores *= to_read(self._scales[start:stop])
        if self.with_offsets:
            scores += queries[:, -1:] * to_read(self._offsets[start:stop])
        return scores

    def vectors(self, slots: NDArray[np.int64]) -> NDArray[np.float32]:  # noqa: D102
        found = self._codes[slots].astype(np.float32)
        if self.storage == "int8":
            found *= self._scales[slots, None]
        return np.hstack([found, self._offsets[slots, None]]) if self.with_offsets else found

    def exact_vectors(self) -> bool:  # noqa: D102
        return self.storage == "float32"

    def knobs(self) -> dict[str, int]:
        """None: every vector is looked at."""
        return {}

    def tune(self, parameters: dict[str, int]) -> None:
        """Nothing."""

    def write(self, folder: Path) -> list[str]:  # noqa: D102
        arrays = {_CODES: self._codes}
        if self.storage == "int8":
            arrays[_SCALES] = self._scales
        if self.with_offsets:
            arrays[_OFFSETS] = self._offsets
        for name, array in arrays.items():
            np.save(folder / name, array[: self._count], allow_pickle=False)
        return list(arrays)

    @classmethod
    def read(
        cls, folder: Path, dimension: int, with_offsets: bool, storage: str, *, mapped: bool = False
    ) -> TableStore:
        """What `write` wrote, into memory or as a memory map.

        Raises:
            DataError: When an array is missing or of another type or shape.
        """
        made = cls(dimension, with_offsets, storage)
        made._codes = codes = _array(folder / _CODES, made._codes.dtype, 2, mapped)
        if codes.shape[1] != dimension:
            raise DataError(f"{folder / _CODES}: expected {dimension} columns, got {codes.shape[1]}")
        made._count = len(codes)
        if storage == "int8":
            made._scales = _column(folder / _SCALES, len(codes), mapped)
        if with_offsets:
            made._offsets = _column(folder / _OFFSETS, len(codes), mapped)
        return made


def _float_blocks(codes: NDArray[Any], least: int) -> Iterator[tuple[int, Tensor]]:
    """The rows [m, D] as float32, a block at a time and where it begins; all at once where they are float32.

    Blocks share their memory: one is to be used up before the next is taken.
    """
    import torch

    if codes.dtype == np.float32:
        yield 0, to_read(codes)
        return
    size = max(least, 64, _BLOCK_BYTES // (4 * codes.shape[1]))
    source = to_read(codes)
    block = torch.empty(min(size, len(codes)), codes.shape[1])
    for first in range(0, len(codes), size):
        part = source[first : first + size]
        yield first, block[: len(part)].copy_(part)


def _encoded(vectors: NDArray[np.float32], storage: str) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    if storage == "float32":
        return vectors, None
    largest = np.abs(vectors).max(axis=1, initial=0.0)
    if storage == "float16":
        if float(largest.max(initial=0.0)) > _LARGEST_HALF:
            raise ConfigError(
                f"expected components of at most {_LARGEST_HALF:,.0f} for half precision, got "
                f"{float(largest.max()):,.0f}: take float32 or int8"
            )
        return vectors.astype(np.float16), None
    scales = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    return np.rint(vectors / scales[:, None]).astype(np.int8), scales


def _appended(array: NDArray[Any], more: NDArray[Any], count: int) -> NDArray[Any]:
    """``array`` with ``more`` from row ``count`` on; its rows grow by halves, so that adding is linear."""
    needed = count + len(more)
    if needed > len(array):
        grown = np.empty((max(needed, len(array) * 3 // 2), *array.shape[1:]), dtype=array.dtype)
        grown[:count] = array[:count]
        array = grown
    array[count:needed] = more
    return array


def _array(path: Path, dtype: np.dtype[Any], dimensions: int, mapped: bool) -> NDArray[Any]:
    with reading(path, "an array of an index's vectors", "build the index again"):
        array: NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
        if array.dtype != dtype or array.ndim != dimensions or not array.flags.c_contiguous:
            raise ValueError(f"expected {dtype} in {dimensions} dimensions, got {array.dtype} {array.shape}")
        return array


def _column(path: Path, count: int, mapped: bool) -> NDArray[np.float32]:
    array = _array(path, np.dtype(np.float32), 1, mapped)
    if len(array) != count:
        raise DataError(f"{path}: expected {count} numbers, got {len(array)}")
    return array
