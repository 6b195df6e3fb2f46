"""The vote of training queries: the labels of those most like a query, beside the labels' own scores.

Two searches, one among the label embeddings and one among those of the training queries, each turned to
shares by a softmax over its best; a training query gives its share to each of its labels. Sources: RAE-XMC
("Retrieval-augmented encoders for extreme multi-label text classification", 2025), which takes one softmax
over both, and the two searches at inference of ViXML (AAAI 2026), with 100 of each.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xmc.data.sparse_rows import SparseRows
from xmc.errors import ConfigError, ModelError
from xmc.retrieval.devices import vectors_on
from xmc.retrieval.ensemble_options import VoteOptions
from xmc.retrieval.fusion import Lists, add_lists, softmax_lists

if TYPE_CHECKING:
    import scipy.sparse as sp
    import torch
    from torch import Tensor

__all__ = [
    "DEPTH",
    "QueryVotes",
    "label_votes",
    "unit_rows",
    "voted",
    "with_votes",
]

DEPTH = 100
"""Labels, and training queries, that take part."""

_BLOCK_ROWS = 1024
_FEW_SCORES = 1 << 22
"""Similarities up to which numpy finds the nearest: for one query it takes no longer."""

_FEWER_THAN_TORCH = 1 << 25
"""And up to which it has found them before torch is loaded, where that is not loaded yet."""


def label_votes(queries: Lists, relevance: sp.csr_matrix | SparseRows, temperature: float) -> SparseRows:
    """What the nearest training queries give each label, [N, L].

    Args:
        queries: Ids [N, K] of training queries among M, nearest first, -1 pads, and their similarities.
        relevance: [M, L]; every stored value other than 0 is a label of its query.
        temperature: Of the softmax over the K.
    """
    ids, scores = queries
    shares = softmax_lists(ids, scores, temperature)
    labels = SparseRows.of(relevance)
    if not labels.data.all():
        labels = labels.where(labels.data != 0)
    return labels._replace(data=np.ones(len(labels.data))).weighted(ids, shares)


def with_votes(
    labels: Lists, votes: SparseRows, options: VoteOptions, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rank labels by ``(1 - weight) softmax(score / temperature) + weight votes``.

    Args:
        labels: Label ids [N, K], best first, -1 pads, and their scores; the softmax is over the K.
        votes: As `label_votes` gives them, without labels that must not be returned.
        options: Weight and temperature.
        k: Labels to keep.

    Returns:
        Ids and sums, both [N, k], as `xmc.retrieval.fusion.add_lists` gives them.
    """
    ids, scores = labels
    own = (1 - options.weight) * softmax_lists(ids, scores, options.temperature)
    parts = [(ids, own)]
    if options.weight:
        given, sums = _as_lists(votes)
        parts.append((given, options.weight * sums))
    return add_lists(parts, k, len(ids))


def voted(
    labels: Lists,
    queries: Lists,
    relevance: sp.csr_matrix | SparseRows,
    options: VoteOptions,
    k: int,
    *,
    exclude: sp.csr_matrix | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """`label_votes`, then `with_votes`, some rows at a time; pairs of ``exclude`` [N, L] get no votes.

    The labels' lists must be without them already.
    """
    ids = np.full((len(labels[0]), k), -1, dtype=np.int64)
    sums = np.full((len(labels[0]), k), -np.inf)
    for rows in _blocks(len(ids)):
        votes = label_votes((queries[0][rows], queries[1][rows]), relevance, options.temperature)
        if exclude is not None:
            votes = votes.without(SparseRows.of(exclude[rows]))
        ids[rows], sums[rows] = with_votes((labels[0][rows], labels[1][rows]), votes, options, k)
    return ids, sums


class QueryVotes:
    """The training queries that vote: their embeddings, their labels, and the exact search among them.

    Args:
        vectors: [M, D]; brought to length 1, as the published vote does.
        relevance: [M, L].
        unit: The vectors are those of a `QueryVotes`, which have length 1: they are not looked at.
        on_device: The same vectors where they are to be searched; None for the host's memory.

    Raises:
        ConfigError: When they are not of the same M.
    """

    def __init__(
        self,
        vectors: NDArray[np.floating],
        relevance: sp.csr_matrix | SparseRows,
        *,
        unit: bool = False,
        on_device: Tensor | None = None,
    ) -> None:
        if vectors.ndim != 2 or len(vectors) != relevance.shape[0]:
            raise ConfigError(
                f"expected the embeddings of {relevance.shape[0]} training queries, got {list(vectors.shape)}"
            )
        self.vectors: NDArray[np.float32] = vectors if unit else unit_rows(vectors)
        self.relevance = SparseRows.of(relevance)
        self.on_device = on_device

    def to(self, device: torch.device | None) -> QueryVotes:
        """The same, searched on a device, to which the vectors are copied; None: as `QueryVotes` begins.

        Raises:
            ConfigError: When they do not fit there.
        """
        copied = None if device is None else vectors_on(device, self.vectors)
        return QueryVotes(self.vectors, self.relevance, unit=True, on_device=copied)

    def without_labels(self, removed: NDArray[np.int64]) -> QueryVotes:
        """The same, of which no query votes for ``removed`` labels."""
        left = self.relevance.where(~np.isin(self.relevance.indices, removed))
        return QueryVotes(self.vectors, left, unit=True, on_device=self.on_device)

    def of_labels(self, kept: NDArray[np.int64]) -> QueryVotes:
        """The same of an index of these labels alone, ascending, whose ids are their places."""
        return QueryVotes(self.vectors, self.relevance.columns(kept), unit=True, on_device=self.on_device)

    def nearest(
        self, queries: NDArray[np.floating], *, own: Sequence[int] | NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Ids and similarities, both [N, 100], of the training queries nearest to queries [N, D].

        Args:
            queries: Embeddings.
            own: [N], the training query that each is, which must not vote for itself; None when none is.
        """
        queries = unit_rows(queries)
        limit = _FEW_SCORES if "torch" in sys.modules else _FEWER_THAN_TORCH
        if self.on_device is None and len(queries) * len(self.vectors) <= limit:
            return self._nearest_of_few(queries, own)
        from xmc.retrieval.exact import exact_search

        exclude = None
        if own is not None:
            each = np.arange(len(own) + 1)
            exclude = SparseRows(
                np.ones(len(own), dtype=bool), np.asarray(own), each, (len(queries), len(self.vectors))
            ).scipy()
        among = self.vectors if self.on_device is None else self.on_device
        return exact_search(queries, among, DEPTH, exclude=exclude)

    def _nearest_of_few(
        self, queries: NDArray[np.float32], own: Sequence[int] | NDArray[np.int64] | None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """:meth:`nearest` without torch, `_FEW_SCORES` similarities at a time."""
        size = max(1, _FEW_SCORES // max(1, len(self.vectors)))
        found = []
        for start in range(0, len(queries), size):
            rows = slice(start, start + size)
            scores = queries[rows] @ self.vectors.T
            found.append(_best_of_all(scores, DEPTH, None if own is None else own[rows]))
        if not found:
            return np.empty((0, DEPTH), dtype=np.int32), np.empty((0, DEPTH), dtype=np.float32)
        ids, best = zip(*found, strict=True)
        return np.concatenate(ids), np.concatenate(best)


def unit_rows(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows [N, D] of length 1, float32; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if vectors.dtype == np.float32 and bool(np.all(np.abs(lengths - 1) < 1e-6)):
        return vectors  # as they are, memory-mapped where they were
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1.0), dtype=np.float32)


def _best_of_all(
    scores: NDArray[np.float32], k: int, own: Sequence[int] | NDArray[np.int64] | None
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Columns and scores, both [N, k], of the k best of each row [N, M], as `exact_search` ranks them."""
    if np.isnan(scores).any():
        raise ModelError("expected embeddings of numbers, but some score NaN: the model has diverged")
    if own is not None:
        scores[np.arange(len(scores)), np.asarray(own, dtype=np.int64)] = -np.inf
    ids = np.full((len(scores), k), -1, dtype=np.int32)
    best = np.full((len(scores), k), -np.inf, dtype=np.float32)
    for row, found in enumerate(scores):
        least = -np.partition(-found, k - 1)[k - 1] if k < len(found) else -np.inf
        kept = np.flatnonzero((found >= least) & (found > -np.inf))
        kept = kept[np.argsort(-found[kept], kind="stable")][:k]
        ids[row, : len(kept)], best[row, : len(kept)] = kept, found[kept]
    return ids, best


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, _BLOCK_ROWS):
        yield slice(start, min(start + _BLOCK_ROWS, count))


def _as_lists(votes: SparseRows) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A sparse [N, L] as lists [N, K] in no order, K of the fullest row."""
    counts = np.diff(votes.indptr)
    width = int(counts.max(initial=0))
    ids = np.full((votes.shape[0], width), -1, dtype=np.int64)
    values = np.zeros((votes.shape[0], width))
    rows = np.repeat(np.arange(votes.shape[0]), counts)
    places = np.arange(len(votes.data)) - votes.indptr[rows]
    ids[rows, places], values[rows, places] = votes.indices, votes.data
    return ids, values
