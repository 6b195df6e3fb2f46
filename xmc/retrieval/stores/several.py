"""The k best labels of a store in which a label has several vectors: each label once, by its folded score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmc.errors import ConfigError, DataError
from xmc.retrieval.stores.protocol import SearchedStore
from xmc.retrieval.stores.search import check_finite, inner_products

__all__ = ["fold_runs", "search_several"]

_QUERY_BLOCK = 256
# Relative: by how much a store's own scores may differ from those of its vectors.
_MARGIN = 1e-5

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


def search_several(
    store: SearchedStore, queries: Floats, k: int, label_of: Ints, spans: tuple[Ints, Ints], how: str
) -> tuple[Ints, Floats]:
    """Label ids and scores, both [N, k], of the best labels of queries [N, W]; each label once.

    Every label of which a vector was fetched is scored by all of its vectors. No label that has none among
    them scores above the last one fetched, by its best or by the mean of its two best. So a row is certain
    once its k-th label scores more than that; for the other rows more are fetched. Score descending, then
    label id ascending; -1 and -inf where there are fewer. As exact as the store finds vectors.

    Args:
        store: What holds the vectors.
        queries: Checked to be finite.
        k: At least 1.
        label_of: [next_slot] label id of each slot; -1 for a dead one.
        spans: Where the vectors of each label are, by label id: the first slot and how many.
        how: "max" or "top2".

    Raises:
        ConfigError: When the store has not its vectors, without which other texts of a label have no score.
        DataError: When the store names a slot that it has not.
        ModelError: When a query is not finite.
    """
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    check_finite(queries, "query")
    ids = np.full((len(queries), k), -1, dtype=np.int64)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    for start in range(0, len(queries), _QUERY_BLOCK):
        rows = np.arange(start, min(start + _QUERY_BLOCK, len(queries)))
        fetch, most = min(4 * k + 64, store.reachable), store.reachable
        while len(rows) and fetch:
            found, slots = store.nearest(queries[rows], fetch, k)
            fetch = max(fetch, slots.shape[1])
            if slots.max(initial=-1) >= len(label_of):
                raise DataError(
                    f"the index names vector {slots.max()}, expected below {len(label_of)}: build it again"
                )
            left = []
            for place, row in enumerate(rows.tolist()):
                labels = np.unique(label_of[slots[place][slots[place] >= 0]])
                labels = labels[labels >= 0]
                own = _scores(store, queries[row], labels, spans, how)
                order = np.lexsort((labels, -own))[:k]
                ids[row, : len(order)], scores[row, : len(order)] = labels[order], own[order]
                cut = own[order[-1]] if len(order) == k else np.float32(-np.inf)
                if slots[place, -1] >= 0 and _undecided(store, cut, found[place, -1]):
                    left.append(row)
            if fetch >= most:
                break
            rows, fetch = np.array(left, dtype=np.int64), min(4 * fetch, most)
    return ids, scores


def fold_runs(scores: Floats, counts: Ints, how: str) -> Floats:
    """Scores [n] of labels from those of their vectors [m], which lie label by label.

    Args:
        scores: [m].
        counts: Vectors of each label, [n], each at least 1.
        how: "max" or "top2".
    """
    owner = np.repeat(np.arange(len(counts)), counts)
    falling = scores[np.lexsort((-scores, owner))]
    starts = np.cumsum(counts) - counts
    best: Floats = falling[starts]
    if how == "max":
        return best
    several = counts > 1
    second = falling[np.where(several, starts + 1, starts)]
    return np.asarray(np.where(several, (best + second) / np.float32(2), best), dtype=np.float32)


def _scores(store: SearchedStore, query: Floats, labels: Ints, spans: tuple[Ints, Ints], how: str) -> Floats:
    if not len(labels):
        return np.zeros(0, dtype=np.float32)
    first, counts = spans[0][labels], spans[1][labels]
    ends = np.cumsum(counts)
    slots = np.arange(ends[-1]) + np.repeat(first - (ends - counts), counts)
    vectors = store.vectors(slots)
    if vectors is None:
        raise ConfigError(
            "expected an index that keeps its vectors for labels of several texts, got a compressed one: "
            "build it as exact, flat, ivf or hnsw, or with --refine"
        )
    return fold_runs(inner_products(query[None], vectors[None])[0], counts, how)


def _undecided(store: SearchedStore, cut: np.float32, last: np.float32) -> bool:
    """Whether a label that was not fetched may belong to the k best."""
    if np.isneginf(cut) or not store.comparable:
        return bool(np.isneginf(cut))
    return bool(cut - last <= _MARGIN * max(abs(float(cut)), abs(float(last))))
