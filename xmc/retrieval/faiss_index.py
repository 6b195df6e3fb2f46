"""Makes, trains and searches FAISS inner-product indexes, with label ids of our own and a stated tie rule."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmc.errors import ConfigError, DataError, ModelError
from xmc.retrieval.faiss_module import import_faiss

__all__ = [
    "add_vectors",
    "make_index",
    "read_index",
    "remove_ids",
    "search_index",
    "train_index",
    "write_index",
]

_QUERY_BLOCK = 1024


def make_index(dimension: int, factory: str) -> Any:
    """An empty inner-product index for vectors [*, dimension] that keeps the ids it is given.

    IVF indexes look into a sixteenth of their lists, at least 8, and HNSW keeps 128 candidates: FAISS's own
    defaults (1 and 16) find far too little for a recall at 100.

    Raises:
        ConfigError: When FAISS does not understand the factory string.
    """
    faiss = import_faiss()
    try:
        index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise ConfigError(
            f"expected a FAISS factory string such as Flat, IVF256,Flat or HNSW32 for {dimension} "
            f"dimensions, got {factory!r}: {_reason(error)}"
        ) from error
    inner = _innermost(index)
    if isinstance(inner, faiss.IndexIVF):
        inner.nprobe = min(inner.nlist, max(8, inner.nlist // 16))
        return index  # it keeps ids itself, and wrapped it would lose track of them on removal
    if isinstance(inner, faiss.IndexHNSW):
        inner.hnsw.efSearch = 128
    return index if isinstance(index, faiss.IndexIDMap) else faiss.IndexIDMap2(index)


def train_index(index: Any, vectors: NDArray[np.float32], factory: str) -> None:
    """Train an index that needs it, on vectors [n, D].

    Raises:
        ConfigError: When there are too few vectors for what the factory string asks.
    """
    if index.is_trained:
        return
    try:
        index.train(np.ascontiguousarray(vectors, dtype=np.float32))
    except RuntimeError as error:
        raise ConfigError(
            f"{len(vectors)} labels are too few to train the index {factory!r} ({_reason(error)}): "
            "use Flat, or fewer lists or codes"
        ) from error


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
            f"an index {factory!r} cannot remove labels ({_reason(error)}): build it again without them, or "
            "use Flat or IVF"
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


def write_index(index: Any, path: Path) -> None:
    """Write an index to a file.

    Raises:
        DataError: When FAISS cannot write it.
    """
    try:
        import_faiss().write_index(index, str(path))
    except RuntimeError as error:
        raise DataError(f"could not write the index ({_reason(error)}): is the disk full?") from error


def read_index(path: Path) -> Any:
    """Read an index from a file.

    Raises:
        DataError: When it is not one FAISS can read.
    """
    try:
        return import_faiss().read_index(str(path))
    except RuntimeError as error:
        raise DataError(
            f"{path} is not a FAISS index that can be read ({_reason(error)}): build it again"
        ) from error


def _ordered(
    scores: NDArray[np.float32], ids: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    scores = np.where(ids < 0, np.float32(-np.inf), scores)
    order = np.lexsort((ids, -scores), axis=1)
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1)


def _innermost(index: Any) -> Any:
    faiss = import_faiss()
    inner = faiss.downcast_index(index)
    while isinstance(inner, (faiss.IndexPreTransform, faiss.IndexIDMap)):
        inner = faiss.downcast_index(inner.index)
    return inner


def _reason(error: RuntimeError) -> str:
    """The last clause of FAISS's message, without the C++ file and line before it."""
    text = re.sub(r"^Error in .* at \S+:\d+: ", "", " ".join(str(error).split()))
    return text.rpartition("failed: ")[2] or text
