"""The k best labels of a store: dead slots left out, scores the same whatever else is stored, ties by id."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmc.errors import DataError, ModelError
from xmc.retrieval.stores.protocol import SearchedStore

__all__ = ["check_finite", "inner_products", "score_error", "search_store"]

_QUERY_BLOCK = 1024
_GATHERED = 1 << 24
# Relative: two float32 sums of some hundred products in different orders differ by that.
_ROUNDING = 1e-6


def search_store(
    store: SearchedStore, queries: NDArray[np.float32], k: int, label_of: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Label ids and scores, both [N, k], of the best labels of queries [N, W].

    Score descending, then label id ascending, also at the cut; -1 and -inf where there are fewer. A store
    orders equal scores as it likes and may return dead slots, so more than k are fetched, and again more for
    the rows whose cut falls between equal scores or that have fewer than k labels.

    Where the store has vectors, what it found is scored by `inner_products`: a score then depends on query
    and label alone, not on the other labels, on the number of queries, or on which kind of store it is.

    Args:
        store: What holds the vectors.
        queries: Finite or not: that is checked.
        k: At least 1.
        label_of: [next_slot] label id of each slot; -1 for a dead one.

    Raises:
        DataError: When the store names a slot that it has not.
        ModelError: When a query is not finite.
    """
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    check_finite(queries, "query")
    ids = np.full((len(queries), k), -1, dtype=np.int64)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    for start in range(0, len(queries), _QUERY_BLOCK):
        rows = np.arange(start, min(start + _QUERY_BLOCK, len(queries)))
        fetch, most = min(2 * k + 16, store.reachable), store.reachable
        if len(queries) == 1 and fetch:
            only = _one(store, queries, fetch, k, label_of)
            if only is not None:
                return only
        while len(rows) and fetch:
            found, slots = store.nearest(queries[rows], fetch, k)
            fetch = max(fetch, slots.shape[1])
            last = found[:, -1]
            if slots.max(initial=-1) >= len(label_of):
                raise DataError(
                    f"the index names label {slots.max()}, expected ids below {len(label_of)}: build it again"
                )
            own, off = _scored(store, queries[rows], found, slots)
            labels = np.where(slots < 0, -1, label_of[slots])
            own[labels < 0] = -np.inf
            width = min(k, fetch)
            # Label ids of pads are -1; those come last by their score.
            order = np.lexsort((labels, -own), axis=1)[:, :width]
            best = np.take_along_axis(own, order, axis=1)
            ids[rows, :width], scores[rows, :width] = np.take_along_axis(labels, order, axis=1), best
            if fetch >= most:
                break
            rows = rows[_undecided(store, best, last, off, k)]
            fetch = min(4 * fetch, most)
    return ids, scores


def _one(
    store: SearchedStore, queries: NDArray[np.float32], fetch: int, k: int, label_of: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
    """What `search_store` gives for one query where the first fetch decides it; else None.

    The same sums and the same order, without what several rows need: that costs a fifth of a millisecond,
    as much as a graph takes to walk.
    """
    found, slots = store.nearest(queries, fetch, k)
    if len(slots[0]) < k or slots.min() < 0 or slots.max() >= len(label_of):
        return None
    labels, own = label_of[slots[0]], found[0]
    vectors = store.vectors(slots[0])
    if labels.min() < 0:
        return None
    if vectors is not None:
        own = inner_products(queries, vectors[None])[0]
    order = np.lexsort((labels, -own))[:k]
    best = own[order]
    if store.comparable and len(slots[0]) < store.reachable:
        off = 4 * np.abs(own - found[0]).max() if vectors is not None else 0.0
        if best[-1] - found[0, -1] <= max(_ROUNDING * abs(float(best[-1])), off):
            return None
    return labels[order][None], best[None]


def _undecided(
    store: SearchedStore,
    best: NDArray[np.float32],
    last: NDArray[np.float32],
    off: NDArray[np.float32],
    k: int,
) -> NDArray[np.bool_]:
    """Rows [N] whose k best may be others that were not fetched; a store that gave pads has no more."""
    cut = best[:, k - 1] if best.shape[1] >= k else np.full(len(best), -np.inf, dtype=np.float32)
    few = np.isneginf(cut)
    if not store.comparable:
        return np.asarray(few & (last > -np.inf))
    # The store's own score may be off in the last bits, by about as much as those that were looked at.
    margin = np.maximum(_ROUNDING * np.abs(np.where(few, 0, cut)), 4 * off)
    return np.asarray((last > -np.inf) & (few | (cut - last <= margin)))


def _scored(
    store: SearchedStore,
    queries: NDArray[np.float32],
    found: NDArray[np.float32],
    slots: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scores [N, f] by vectors where the store has them, and by how much [N] its own were off at most."""
    there = slots >= 0
    scores = np.where(there, found, np.float32(-np.inf))
    off = np.zeros(len(queries), dtype=np.float32)
    step = max(1, _GATHERED // max(1, slots.shape[1] * store.width))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        # A pad is scored as another slot of its row, and put back.
        asked = np.where(there[part], slots[part], slots[part].max(axis=1, keepdims=True, initial=-1))
        if (asked < 0).any():
            asked = np.where(asked < 0, slots.max(initial=-1), asked)
        if not asked.size or asked.max() < 0:
            continue
        vectors = store.vectors(asked.ravel())
        if vectors is None:
            return scores, off
        own = inner_products(queries[part], vectors.reshape(*asked.shape, store.width))
        if store.comparable:
            off[part] = np.where(there[part], np.abs(own - found[part]), 0).max(axis=1, initial=0)
        scores[part] = np.where(there[part], own, np.float32(-np.inf))
    return scores, off


def inner_products(queries: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores float32 [N, f] of queries [N, W] and a vector for each of f candidates [N, f, W].

    One sum for each pair, in one order: the same bits whatever stands beside it, which a matrix product does
    not promise.
    """
    products = np.einsum("qd,qfd->qf", queries, vectors, optimize=False)
    return np.asarray(products, dtype=np.float32)


def score_error(store: SearchedStore, vectors: NDArray[np.float32], first: int = 0) -> float:
    """How far the scores are from inner products, in a store whose slots from ``first`` on are ``vectors``.

    The largest difference of 64 searches, relative to the longest vector squared: 1e-6 or so where vectors
    are kept as they are, more where they are compressed.
    """
    rows = np.unique(np.linspace(0, len(vectors) - 1, min(64, len(vectors))).astype(np.int64))
    label_of = np.concatenate([np.full(first, -1), np.arange(len(vectors))]).astype(np.int64)
    ids, scores = search_store(store, vectors[rows], min(8, len(vectors)), label_of)
    exact = np.einsum("qd,qkd->qk", vectors[rows], vectors[np.maximum(ids, 0)])
    unit = max(float(np.square(vectors).sum(axis=1).max()), 1e-30)
    return float(np.abs(exact - scores)[ids >= 0].max(initial=0.0)) / unit


def check_finite(vectors: NDArray[np.float32], what: str) -> None:
    """Refuse vectors that are not finite.

    Raises:
        ModelError: Naming ``what`` they are.
    """
    if not np.isfinite(vectors).all():
        raise ModelError(f"expected finite {what} embeddings, but some are not: the model has diverged")
