"""Vectors in a FAISS index of any factory string; those that it keeps whole are scored outside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmc.retrieval.faiss_index import make_index, read_index, write_index
from xmc.retrieval.faiss_module import import_faiss
from xmc.retrieval.faiss_training import parts_of, train_index

__all__ = ["FAISS_FILE", "FaissStore"]

FAISS_FILE = "index.faiss"
_PRODUCT_FROM = 4


@contextmanager
def _by_products() -> Iterator[None]:
    """Let FAISS score a flat index for several queries by products of matrices.

    By itself it goes through the vectors for each query, up to 128,000 queries at once in version 1.15: 300
    queries of 30,125 labels take eight times as long. The setting is one of the process; it is put back.
    """
    settings = import_faiss().cvar
    before = settings.distance_compute_blas_threshold
    settings.distance_compute_blas_threshold = min(before, _PRODUCT_FROM)
    try:
        yield
    finally:
        settings.distance_compute_blas_threshold = before


class FaissStore:
    """A FAISS index whose ids are slots.

    Args:
        index: As `make_index` makes it.
        factory: Its factory string, for messages.
        next_slot: The slot of the next vector.
    """

    comparable = True

    def __init__(self, index: Any, factory: str, next_slot: int = 0) -> None:
        self.index, self.factory, self.width, self._next = index, factory, int(index.d), next_slot
        faiss = import_faiss()
        parts = parts_of(index)
        plain = [part for part in parts if not isinstance(part, faiss.IndexIDMap)]
        self._inner = parts[-1]
        self._refined = next((part for part in parts if isinstance(part, faiss.IndexRefine)), None)
        self._whole = plain[0] if len(plain) == 1 and _keeps_vectors(plain[0]) else None
        if isinstance(self._whole, faiss.IndexIVF) and len(parts) > 1:
            self._whole = None  # its ids are not ours, but those of what is around it
        if isinstance(self._whole, faiss.IndexIVF):
            # Finds a vector by its id, at some 50 bytes a vector.
            index.set_direct_map_type(faiss.DirectMap.Hashtable)
        self.keeps_dead = not _forgets(parts)
        self._rows: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None

    @classmethod
    def make(cls, width: int, factory: str) -> FaissStore:
        """An empty one.

        Raises:
            ConfigError: As `make_index`.
        """
        return cls(make_index(width, factory), factory)

    @classmethod
    def read(cls, folder: Path, factory: str, next_slot: int, *, mapped: bool = False) -> FaissStore:
        """What `write` wrote, or a version 2 folder's file.

        Raises:
            DataError: When FAISS cannot read it.
        """
        return cls(read_index(folder / FAISS_FILE, mapped=mapped), factory, next_slot)

    @property
    def next_slot(self) -> int:
        """As `VectorStore` says, like all that follows."""
        return self._next

    @property
    def reachable(self) -> int:  # noqa: D102
        return int(self.index.ntotal)

    @property
    def is_trained(self) -> bool:  # noqa: D102
        return bool(self.index.is_trained)

    def train(self, vectors: NDArray[np.float32]) -> None:  # noqa: D102
        train_index(self.index, vectors, self.factory)

    def add(self, vectors: NDArray[np.float32]) -> None:  # noqa: D102
        slots = np.arange(self._next, self._next + len(vectors), dtype=np.int64)
        self.index.add_with_ids(np.ascontiguousarray(vectors, dtype=np.float32), slots)
        self._next += len(vectors)
        self._rows = None

    def forget(self, slots: NDArray[np.int64]) -> None:  # noqa: D102
        if len(slots) and not self.keeps_dead:
            faiss = import_faiss()
            slots = np.ascontiguousarray(slots, dtype=np.int64)
            self.index.remove_ids(faiss.IDSelectorArray(len(slots), faiss.swig_ptr(slots)))
            self._rows = None

    def nearest(  # noqa: D102
        self, queries: NDArray[np.float32], fetch: int, k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        with _by_products() if len(queries) >= _PRODUCT_FROM else nullcontext():
            scores, slots = self.index.search(queries, min(fetch, self.reachable))
        return scores, slots

    def vectors(self, slots: NDArray[np.int64]) -> NDArray[np.float32] | None:  # noqa: D102
        if self._whole is None:
            return None
        if isinstance(self._whole, import_faiss().IndexIVF):
            return np.asarray(self.index.reconstruct_batch(np.ascontiguousarray(slots)), dtype=np.float32)
        ids, rows = self._view()
        return rows[np.minimum(np.searchsorted(ids, slots), len(ids) - 1)]

    def _view(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Slots, ascending, and vectors of a flat index: FAISS's own memory, which moves when it grows."""
        if self._rows is None:
            faiss = import_faiss()
            ids = faiss.rev_swig_ptr(parts_of(self.index)[0].id_map.data(), self.reachable)
            flat: Any = self._whole
            if isinstance(flat, faiss.IndexHNSW):
                flat = faiss.downcast_index(flat.storage)
            rows = faiss.rev_swig_ptr(flat.get_xb(), self.reachable * self.width)
            self._rows = ids, rows.reshape(self.reachable, self.width)
        return self._rows

    def exact_vectors(self) -> bool:  # noqa: D102
        return self._whole is not None

    def knobs(self) -> dict[str, int]:  # noqa: D102
        faiss = import_faiss()
        found = {}
        if isinstance(self._inner, faiss.IndexIVF):
            found["nprobe"] = int(self._inner.nprobe)
        if isinstance(self._inner, faiss.IndexHNSW):
            found["efSearch"] = int(self._inner.hnsw.efSearch)
        if self._refined is not None:
            found["k_factor"] = int(self._refined.k_factor)
        return found

    def tune(self, parameters: dict[str, int]) -> None:  # noqa: D102
        known = self.knobs()
        for name, value in parameters.items():
            if name not in known:
                continue
            if name == "nprobe":
                self._inner.nprobe = min(value, self._inner.nlist)
            elif name == "efSearch":
                self._inner.hnsw.efSearch = value
            else:
                self._refined.k_factor = float(value)  # type: ignore[union-attr]

    @property
    def lists(self) -> int:  # noqa: D102
        return int(self._inner.nlist) if isinstance(self._inner, import_faiss().IndexIVF) else 0

    def write(self, folder: Path) -> list[str]:  # noqa: D102
        write_index(self.index, folder / FAISS_FILE)
        return [FAISS_FILE]


def _keeps_vectors(part: Any) -> bool:
    faiss = import_faiss()
    if isinstance(part, faiss.IndexHNSW):
        part = faiss.downcast_index(part.storage)
    return isinstance(part, (faiss.IndexFlat, faiss.IndexIVFFlat))


def _forgets(parts: list[Any]) -> bool:
    """Whether every part of an index can remove vectors: FAISS says so only once one half has."""
    faiss = import_faiss()
    inner = parts[-1]
    if any(isinstance(part, faiss.IndexRefine) for part in parts):
        return False
    if isinstance(inner, faiss.IndexIVF) and any(isinstance(part, faiss.IndexIDMap) for part in parts):
        return False  # what is around it would lose track of the ids
    can = (faiss.IndexFlat, faiss.IndexIVF, faiss.IndexScalarQuantizer, faiss.IndexPQ)
    fast = (faiss.IndexFastScan, faiss.IndexIVFFastScan)
    return isinstance(inner, can) and not isinstance(inner, fast)
