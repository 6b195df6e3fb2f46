"""Mining: the labels nearest to each query that are not its positives, in memory bounded on both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from xmc.retrieval import exact_search
from xmc.retrieval.faiss_index import add_vectors, make_index, search_index
from xmc.retrieval.faiss_training import train_index
from xmc.training.batches.mined.config import MinedConfig

__all__ = ["MinedLabels", "mine_labels"]

QUERY_CHUNK = 4096
LABEL_CHUNK = 65_536
TRAINING_VECTORS = 262_144

Search = Callable[[Tensor, int, sp.csr_matrix], tuple[np.ndarray, np.ndarray]]
"""Ids and scores [n, depth], best first, of n queries' labels without the excluded ones."""


@dataclass(frozen=True)
class MinedLabels:
    """What mining found for N rows.

    Attributes:
        ids: [N, K] int32, best first, none of them a positive of its row; -1 where fewer were found.
        scores: [N, K] float32, inner products; -inf at pads.
    """

    ids: np.ndarray
    scores: np.ndarray


def mine_labels(
    config: MinedConfig,
    encode_queries: Callable[[np.ndarray], Tensor],
    labels: Tensor,
    positives: sp.csr_matrix,
    *,
    offsets: np.ndarray | None = None,
    masked: sp.csr_matrix | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> MinedLabels:
    """For each row the labels from rank ``config.first`` to ``config.last``, positives left out.

    Ranks count the labels that are not positives of the row, so exactly ``first`` better ones are skipped.
    The guard then drops what scores above the best-scoring positive minus ``config.margin`` and leaves a pad.

    Args:
        config: Window, guard, and the search: exact, or a FAISS factory string (inner product, approximate
            ranks). FAISS is asked for as many more labels as the rows of a chunk have positives.
        encode_queries: Embeddings float32 [n, D] of some positions in ``range(N)``; called a chunk at a time.
        labels: [L, D] embeddings of any floating type; exact search runs where they are, FAISS on the CPU.
        positives: CSR [N, L].
        offsets: [L], added to ``q.e``.
        masked: CSR bool [N, L], pairs that are left out as positives are, and that the guard does not ask.
        stop: Asked between chunks of 4,096 queries; when true, what is left stays pads.

    Returns:
        Lists [N, last - first]; besides them the memory is that of one chunk of queries and one tile.
    """
    num_rows, width = positives.shape[0], config.last - config.first
    ids = np.full((num_rows, width), -1, dtype=np.int32)
    scores = np.full((num_rows, width), -np.inf, dtype=np.float32)
    search = _exact(labels, offsets) if config.factory == "exact" else _faiss(config.factory, labels, offsets)
    for start in range(0, num_rows, QUERY_CHUNK):
        if stop():
            break
        rows = np.arange(start, min(start + QUERY_CHUNK, num_rows))
        queries, own = encode_queries(rows), positives[rows]
        apart = own if masked is None else sp.csr_matrix(own.astype(bool) + masked[rows])
        found_ids, found_scores = search(queries, config.last, apart)
        # The best ones are skipped on purpose: they are the likeliest to be positives that nobody has listed.
        found_ids, found_scores = found_ids[:, config.first :], found_scores[:, config.first :]
        if config.margin is not None:
            # What scores above that is more likely an unlisted positive than a negative.
            limit = _best_positive(queries, labels, own, offsets) - config.margin
            found_ids = np.where(found_scores > limit[:, None], -1, found_ids)
        ids[rows], scores[rows] = found_ids, np.where(found_ids < 0, -np.inf, found_scores)
    return MinedLabels(ids, scores)


def _exact(labels: Tensor, offsets: np.ndarray | None) -> Search:
    def search(queries: Tensor, depth: int, own: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
        return exact_search(queries, labels, depth, exclude=own, offsets=offsets)

    return search


def _faiss(factory: str, labels: Tensor, offsets: np.ndarray | None) -> Search:
    index = make_index(labels.shape[1] + (offsets is not None), factory)
    # An even sample, as neighbouring ids may be alike.
    spread = np.linspace(0, len(labels) - 1, min(len(labels), TRAINING_VECTORS)).astype(np.int64)
    train_index(index, _with_offsets(labels[torch.from_numpy(spread)], _rows(offsets, spread)), factory)
    for start, stop in _chunks(len(labels), LABEL_CHUNK):
        ids = np.arange(start, stop)
        add_vectors(index, _with_offsets(labels[start:stop], _rows(offsets, ids)), ids)

    def search(queries: Tensor, depth: int, own: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
        # q.e + offset = (q, 1).(e, offset): an index of inner products needs no other way to add offsets.
        ones = None if offsets is None else np.ones(len(queries), dtype=np.float32)
        # FAISS cannot leave pairs out: it is asked for as many more as may have to be dropped.
        most = int(np.diff(own.indptr).max(initial=0))
        found = search_index(index, _with_offsets(queries, ones), min(depth + most, len(labels)))
        return _without_positives(*found, own, depth)

    return search


def _without_positives(
    ids: np.ndarray, scores: np.ndarray, own: sp.csr_matrix, depth: int
) -> tuple[np.ndarray, np.ndarray]:
    """The first ``depth`` of each row that are not its positives, padded."""
    rows = np.repeat(np.arange(len(ids)), np.diff(own.indptr))
    num_labels = own.shape[1]
    # A pair as one integer, so that all rows are checked in one call.
    taken = np.isin(np.arange(len(ids))[:, None] * num_labels + ids, rows * num_labels + own.indices)
    scores = np.where(taken | (ids < 0), -np.inf, scores)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    scores = np.take_along_axis(scores, order, 1)
    ids = np.where(np.isneginf(scores), -1, np.take_along_axis(ids, order, 1))
    missing = ((0, 0), (0, depth - ids.shape[1]))
    return np.pad(ids, missing, constant_values=-1), np.pad(scores, missing, constant_values=-np.inf)


def _best_positive(
    queries: Tensor, labels: Tensor, own: sp.csr_matrix, offsets: np.ndarray | None
) -> np.ndarray:
    """The score of each row's best-scoring positive: [n], inf for a row without."""
    rows = np.repeat(np.arange(len(queries)), np.diff(own.indptr))
    best = np.full(len(queries), -np.inf, dtype=np.float32)
    for start, stop in _chunks(len(rows), LABEL_CHUNK):
        part, ids = rows[start:stop], own.indices[start:stop]
        left, right = queries[torch.from_numpy(part)], labels[torch.from_numpy(ids.astype(np.int64))]
        scores = (left.float() * right.float().to(left.device)).sum(1).cpu().numpy()
        # maximum.at, as a row comes as often as it has positives in this part.
        np.maximum.at(best, part, scores if offsets is None else scores + offsets[ids])
    return np.where(np.isneginf(best), np.float32(np.inf), best)


def _with_offsets(vectors: Tensor, offsets: np.ndarray | None) -> np.ndarray:
    """Vectors in float32 on the CPU, with the offsets as one more dimension."""
    array = vectors.detach().float().cpu().numpy()
    return array if offsets is None else np.concatenate([array, offsets.astype(np.float32)[:, None]], 1)


def _rows(offsets: np.ndarray | None, ids: np.ndarray) -> np.ndarray | None:
    return None if offsets is None else offsets[ids]


def _chunks(count: int, size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + size, count)) for start in range(0, count, size))
