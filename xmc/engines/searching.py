"""Ranks an engine's labels for query embeddings, as the label index they came from does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from xmc.engines.facts import ExportFacts
from xmc.engines.protocol import Engine
from xmc.errors import ConfigError, DataError
from xmc.retrieval.hit import Hit
from xmc.retrieval.manifest import IndexManifest
from xmc.retrieval.ranking import search_by

__all__ = ["search_engine"]

_MORE = 8
"""Fetched beyond k: labels of equal scores at the cut are ordered by id, which not every engine does."""
_MOST_TEXTS = 4
"""Rows of a label that are reckoned with at first."""
_FIRST_ROWS = 1_000
"""Where there are several of a label, so many rows are fetched at first, or k."""


def search_engine(
    engine: Engine, manifest: IndexManifest, queries: NDArray[np.float32], k: int
) -> list[list[Hit]]:
    """The k best labels of each query, best first, ties by label id ascending.

    Args:
        engine: With labels of that index; every one of them is scored.
        manifest: Of the index whose model made the queries.
        queries: Embeddings [N, D], without the dimension of offsets.
        k: Labels of a query; fewer where there are fewer.

    Raises:
        ConfigError: When k is below 1.
        DataError: When the collection is not there, or of other making.
        IndexMismatchError: When its labels are of another model.
    """
    if k < 1:
        raise ConfigError(f"expected k to be at least 1, got {k}")
    facts = engine.facts()
    if facts is None:
        raise DataError(f"expected labels in {engine.where}, but there is no such collection: export first")
    facts.check(ExportFacts.of(manifest, facts.batch, 1), engine.where)
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    if facts.offset_dimension:
        queries = np.hstack([queries, np.ones((len(queries), 1), dtype=np.float32)])
    known: dict[int, Hit] = {}

    def signed(sign: np.float32) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        for row, best in enumerate(_fetched(engine, sign * queries, k, facts.texts)):
            known.update((hit.label, hit) for hit in best)
            ids[row, : len(best)] = [hit.label for hit in best]
            scores[row, : len(best)] = [hit.score for hit in best]
        return ids, scores

    ids, scores = search_by(facts.ranking, signed)
    return [
        [
            replace(known[label], score=score)
            for label, score in zip(row, own.tolist(), strict=True)
            if label >= 0
        ]
        for row, own in zip(ids.tolist(), scores, strict=True)
    ]


def _fetched(engine: Engine, queries: NDArray[np.float32], k: int, many: int) -> list[list[Hit]]:
    """The k best labels of each query, of at most ``many`` texts each.

    So many rows are fetched that none beyond them can have the score of the last of k labels.

    Raises:
        ConfigError: When that is more than the engine gives.
    """
    most = engine.most_hits
    fetch = k + _MORE if many == 1 else min(k * _MOST_TEXTS, max(k, _FIRST_ROWS)) + _MORE
    found: list[list[Hit]] = [[] for _ in queries]
    open_rows = list(range(len(queries)))
    while open_rows:
        # What is beyond all that it gives is no reason to refuse what it has.
        fetch = fetch if most is None else min(fetch, max(most, k))
        left = []
        for row, hits in zip(open_rows, engine.search(queries[open_rows], fetch), strict=True):
            found[row] = _best_labels(hits, k, many)
            last = np.float32(min((hit.score for hit in hits), default=0))
            is_cut = len(found[row]) < k or np.float32(found[row][-1].score) <= last
            if len(hits) >= fetch and is_cut:
                left.append(row)
        if left and most is not None and fetch >= most:
            raise ConfigError(
                f"-k: {engine.where} gives {most:,} rows of a query at most, too few to be sure of the {k:,} "
                "best labels: ask for fewer"
            )
        open_rows = left
        fetch *= 2
    return found


def _best_labels(hits: list[Hit], k: int, many: int) -> list[Hit]:
    """The k best labels of rows found, each by its best row; of equal scores the lowest id first."""
    best: dict[int, Hit] = {}
    for hit in sorted(hits, key=lambda hit: (-np.float32(hit.score), hit.label)):
        best.setdefault(hit.label // many, hit)
        if len(best) == k:
            break
    return [replace(hit, label=label) for label, hit in best.items()]
