"""Makes, trains and searches FAISS inner-product indexes, with label ids of our own and a stated tie rule."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmc.errors import ConfigError, DataError, ModelError
from xmc.received import reading
from xmc.retrieval.faiss_module import import_faiss
from xmc.retrieval.faiss_training import check_inner_product, faiss_reason, parts_of

__all__ = [
    "add_vectors",
    "make_index",
    "read_index",
    "remove_ids",
    "score_error",
    "search_index",
    "write_index",
]

_QUERY_BLOCK = 1024
_LEAST_LIMIT = 1 << 20


def make_index(dimension: int, factory: str) -> Any:
    """An empty inner-product index for vectors [*, dimension] that keeps the ids it is given.

    IVF indexes look into a sixteenth of their lists, at least 8, HNSW keeps 128 candidates, and a refined
    index looks at 4 for each it gives: FAISS's own defaults (1, 16 and 1) find far too little for a recall at
    100.

    Raises:
        ConfigError: When FAISS does not understand the factory string, or it asks for another ranking than
            that by the inner product.
    """
    faiss = import_faiss()
    try:
        index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise ConfigError(
            f"expected a FAISS factory string such as Flat, IVF256,Flat or HNSW32 for {dimension} "
            f"dimensions, got {factory!r}: {faiss_reason(error)}"
        ) from error
    check_inner_product(index, factory)
    parts = parts_of(index)
    inner, refined = parts[-1], [part for part in parts if isinstance(part, faiss.IndexRefine)]
    for part in refined:
        part.k_factor = 4.0
    if isinstance(inner, faiss.IndexHNSW):
        inner.hnsw.efSearch = 128
    if isinstance(inner, faiss.IndexIVF):
        inner.nprobe = min(inner.nlist, max(8, inner.nlist // 16))
        if not refined:
            return index  # it keeps ids itself, and wrapped it would lose track of them on removal
    return index if isinstance(index, faiss.IndexIDMap) else faiss.IndexIDMap2(index)


def add_vectors(index: Any, vectors: NDArray[np.float32], ids: NDArray[np.int64]) -> None:
    """Add vectors [n, D] under the given ids [n].

    Raises:
        ModelError: When a vector is not finite.
    """
    if not np.isfinite(vectors).all():
        raise ModelError("expected finite label embeddings, but some are not: the model has diverged")
    index.add_with_ids(
        np.ascontiguousarray(vectors, dtype=np.float32), np.ascontiguousarray(ids, dtype=np.int64)
    )


def remove_ids(index: Any, ids: NDArray[np.int64], factory: str) -> None:
    """Take the vectors of the given ids out of the index.

    Raises:
        ConfigError: When this kind of index cannot forget vectors.
    """
    try:
        index.remove_ids(np.ascontiguousarray(ids, dtype=np.int64))
    except RuntimeError as error:
        raise ConfigError(
            f"an index {factory!r} cannot remove labels ({faiss_reason(error)}): build it again without "
            "them, or use Flat or IVF"
        ) from error


def search_index(
    index: Any, queries: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k best ids and scores of queries [N, D], both [N, k].

    Score descending, then id ascending, also at the cut. FAISS orders equal scores as it likes, so more than
    k are fetched, and again more for the rows whose cut still falls between equal scores. Pads: -1, -inf.
    """
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    if not np.isfinite(queries).all():
        raise ModelError("expected finite query embeddings, but some are not: the model has diverged")
    ids = np.full((len(queries), k), -1, dtype=np.int64)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    for start in range(0, len(queries), _QUERY_BLOCK):
        rows = np.arange(start, min(start + _QUERY_BLOCK, len(queries)))
        fetch = min(2 * k + 16, index.ntotal)
        while len(rows) and fetch:
            found_ids, found_scores = _ordered(*index.search(queries[rows], fetch))
            width = min(k, fetch)
            ids[rows, :width], scores[rows, :width] = found_ids[:, :width], found_scores[:, :width]
            if fetch == index.ntotal:
                break
            # Two fetches of 'equal' vectors may differ in the last bit, so nearly equal counts as equal here.
            cut, last = found_scores[:, k - 1], found_scores[:, -1]
            rows = rows[(last > -np.inf) & (cut - last <= 1e-6 * np.abs(cut))]
            fetch = min(4 * fetch, index.ntotal)
    return ids, scores


def score_error(index: Any, vectors: NDArray[np.float32]) -> float:
    """How far scores of an index that holds just ``vectors`` [n, D], as ids 0 to n - 1, are from exact ones.

    The largest difference to the inner product of 64 searches, relative to the longest vector squared: 1e-6
    or so where the index keeps vectors as they are, more where it compresses them.
    """
    rows = np.unique(np.linspace(0, len(vectors) - 1, min(64, len(vectors))).astype(np.int64))
    ids, scores = search_index(index, vectors[rows], min(8, len(vectors)))
    exact = np.einsum("qd,qkd->qk", vectors[rows], vectors[np.maximum(ids, 0)])
    unit = max(float(np.square(vectors).sum(axis=1).max()), 1e-30)
    return float(np.abs(exact - scores)[ids >= 0].max(initial=0.0)) / unit


def write_index(index: Any, path: Path) -> None:
    """Write an index to a file.

    Raises:
        DataError: When FAISS cannot write it.
    """
    try:
        import_faiss().write_index(index, str(path))
    except RuntimeError as error:
        raise DataError(f"could not write the index ({faiss_reason(error)}): is the disk full?") from error


def read_index(path: Path, *, mapped: bool = False) -> Any:
    """Read an index from a file whose checksum is known to be right.

    ``mapped`` leaves vectors, codes and lists on disk where FAISS can: such an index cannot grow.

    Raises:
        DataError: When it is not one FAISS can read, or promises vectors longer than the file.
    """
    with reading(path, "a FAISS index that can be read", "build it again"), _bounded_by(path.stat().st_size):
        faiss = import_faiss()
        if not mapped:
            return faiss.read_index(str(path), 0)
        try:
            return faiss.read_index(str(path), faiss.IO_FLAG_MMAP | getattr(faiss, "IO_FLAG_MMAP_IFC", 0))
        except RuntimeError:
            # With both flags FAISS maps vectors and graphs, and does not read inverted lists.
            return faiss.read_index(str(path), faiss.IO_FLAG_MMAP)


@contextmanager
def _bounded_by(size: int) -> Iterator[None]:
    """FAISS makes a vector as long as a file says before it reads it; none is longer than the file."""
    faiss = import_faiss()
    if not hasattr(faiss, "set_deserialization_vector_byte_limit"):  # before FAISS 1.14
        yield
        return
    before = faiss.get_deserialization_vector_byte_limit(), faiss.get_deserialization_loop_limit()
    faiss.set_deserialization_vector_byte_limit(max(size, _LEAST_LIMIT))
    faiss.set_deserialization_loop_limit(max(size, _LEAST_LIMIT))
    try:
        yield
    finally:
        faiss.set_deserialization_vector_byte_limit(before[0])
        faiss.set_deserialization_loop_limit(before[1])


def _ordered(
    scores: NDArray[np.float32], ids: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    scores = np.where(ids < 0, np.float32(-np.inf), scores)
    order = np.lexsort((ids, -scores), axis=1)
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1)
