"""Exact search: the k best labels of every query by inner product, tiled, with ties decided by a stated rule.

The rule, also at the cut: score descending, then label id ascending. A tile's scores are the only big thing
in memory, so the memory needed does not grow with the number of queries times the number of labels. What a
row's k best are likely above is first guessed from a sample of the labels (:mod:`.likely_floor`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmc.errors import ConfigError, ModelError
from xmc.progress import Bar
from xmc.retrieval.likely_floor import likely_floor, sample_stride
from xmc.retrieval.rounded_search import RoundedSearch, rounding_pays
from xmc.retrieval.tiled_search import LEAST_SIDE, TiledSearch, drop_pairs, read_rows, whole_chunks
from xmc.retrieval.top_k import CHUNK, merge_top_k, tile_top_k

__all__ = ["exact_search", "merge_top_k", "tile_top_k"]

# A tile's score costs 4 bytes; choosing the best of it up to twice as much again, where k is large, where
# scores are equal or where many are above their floor. On a CPU it may be kept in bfloat16 besides.
_BYTES_PER_SCORE = 13
_BYTES_ROUNDED = 2
_MEMORY = 256 << 20
_MOST_MEMORY_OF_A_GPU = 4 << 30
_TILE_QUERIES = 1_024
# 16 MB of scores on a CPU: written and looked at within its last cache.
_TILE_SCORES = _TILE_QUERIES * 4_096
# For fewer queries a sample of the labels costs what it saves.
_SAMPLED_FROM = 64


@torch.no_grad()
def exact_search(
    queries: NDArray[Any] | Tensor,
    labels: NDArray[Any] | Tensor,
    k: int,
    *,
    exclude: sp.csr_matrix | None = None,
    offsets: NDArray[Any] | Tensor | None = None,
    memory_bytes: int | None = None,
    progress: bool = False,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Rank labels by ``q.e + offset`` in float32 and keep the k best of every query.

    Args:
        queries: [N, D], numpy (memory-mapped too) or torch on any device.
        labels: [L, D]; the search runs on their device, or on the queries' where only those are torch.
        k: Labels to keep.
        exclude: [N, L], true where a pair must not be returned; applied before the cut.
        offsets: [L], added to the scores; -inf keeps a label out altogether.
        memory_bytes: Bytes the scores of one tile and their selection may take; the lists are the same for
            any. When None 256 MB on a CPU, and on a GPU a sixteenth of its memory, 4 GB at most.
        progress: Show a bar over the queries.

    Returns:
        Label ids, int32 [N, k], and scores, float32 [N, k], best first, ties by label id ascending; -1 and
        -inf where fewer than k labels remain.

    Raises:
        ConfigError: When k or the shapes cannot be right.
        ModelError: When an embedding or offset is not a number.
    """
    exclude, k = _check(queries, labels, k, exclude, offsets), int(k)
    num_queries, num_labels = len(queries), len(labels)
    device = _device(labels, queries)
    memory, by_cpu = _memory_of(device) if memory_bytes is None else memory_bytes, device.type == "cpu"
    most = memory // (_BYTES_PER_SCORE + by_cpu * _BYTES_ROUNDED)
    query_step, label_step = _tile_shape(
        num_queries, num_labels, k, min(most, _TILE_SCORES) if by_cpu else most
    )
    bias = None if offsets is None else read_rows(offsets, 0, num_labels, device)
    if bias is not None and bool((bias.isnan() | (bias == torch.inf)).any()):
        raise ModelError("expected offsets to be finite or -inf, but some are not: the model has diverged")
    all_ids = np.full((num_queries, k), -1, dtype=np.int32)
    all_scores = np.full((num_queries, k), -np.inf, dtype=np.float32)
    buffer = torch.empty(max(query_step, LEAST_SIDE), whole_chunks(label_step), device=device)
    search = TiledSearch(labels, bias, k, label_step, buffer)
    many = num_queries >= _SAMPLED_FROM
    pays = many and rounding_pays(query_step, num_labels, queries.shape[1], k, device)
    rounded = RoundedSearch(search) if pays else None
    sample = _sample(search, (rounded or search).depth, device) if many else None
    with Bar(num_queries, "searching", "query", shown=progress) as bar:
        for start in range(0, num_queries, query_step):
            stop = min(start + query_step, num_queries)
            block = read_rows(queries, start, stop, device)
            mask = None if exclude is None else exclude[start:stop].tocsc()
            # A block that is left may be small.
            guess = sample if len(block) >= _SAMPLED_FROM else None
            by = rounded if rounded is not None and rounded.pays and guess is not None else search
            floor = None if guess is None else guess.floor(search, block, mask, by.depth)
            scores, ids = by.best(block, mask, floor)
            all_scores[start:stop] = scores.cpu().numpy()
            all_ids[start:stop] = ids.cpu().numpy()
            bar.update(stop - start)
    return all_ids, all_scores


@dataclass(frozen=True)
class _Sample:
    """Every ``stride``-th label: vectors [m, D] and offsets [m]."""

    vectors: Tensor
    bias: Tensor | None
    stride: int

    def floor(self, search: TiledSearch, queries: Tensor, exclude: sp.csc_matrix | None, k: int) -> Tensor:
        """What the k best of a block of queries are most likely above, [B]."""
        scores = search.scores(queries, self.vectors, self.bias)[:, : len(self.vectors)]
        if exclude is not None:
            drop_pairs(scores, exclude[:, :: self.stride], 0, len(self.vectors))
        return likely_floor(scores, k, self.stride)


def _sample(search: TiledSearch, k: int, device: torch.device) -> _Sample | None:
    """None where a sample is of no use, or its scores do not fit a tile."""
    labels, bias = search.labels, search.bias
    stride = sample_stride(len(labels), k)
    if stride is None or -(-len(labels) // stride) > search.step:
        return None
    part = labels[::stride]
    return _Sample(read_rows(part, 0, len(part), device), None if bias is None else bias[::stride], stride)


def _memory_of(device: torch.device) -> int:
    """Bytes for a tile where the caller does not say."""
    if device.type != "cuda":
        return _MEMORY
    # Of small tiles a GPU's time goes to launches and to waiting for the host between them.
    return int(min(_MOST_MEMORY_OF_A_GPU, torch.cuda.get_device_properties(device).total_memory // 16))


def _tile_shape(num_queries: int, num_labels: int, k: int, most: int) -> tuple[int, int]:
    """Queries and labels of a tile of at most ``most`` scores, though of more than k labels."""
    rows = max(LEAST_SIDE, min(num_queries, _TILE_QUERIES))
    # An odd number of chunks: rows a power of two apart would be in the same lines of a CPU's cache.
    width = (((most // rows // CHUNK) - 1) | 1) * CHUNK
    columns = max(1, min(num_labels, max(width, k + 1)))
    return max(1, min(num_queries, _TILE_QUERIES, most // columns)), columns


def _device(*values: Any) -> torch.device:
    return next((value.device for value in values if isinstance(value, Tensor)), torch.device("cpu"))


def _check(queries: Any, labels: Any, k: int, exclude: Any, offsets: Any) -> sp.csr_matrix | None:
    if k < 1:
        raise ConfigError(f"expected k to be at least 1, got {k}")
    if queries.ndim != 2 or labels.ndim != 2 or queries.shape[1] != labels.shape[1]:
        raise ConfigError(
            f"expected queries [N, D] and labels [L, D], got {tuple(queries.shape)} and {tuple(labels.shape)}"
        )
    if offsets is not None and tuple(offsets.shape) != (len(labels),):
        raise ConfigError(
            f"expected an offset for each of {len(labels)} labels, got the shape {tuple(offsets.shape)}"
        )
    if exclude is None:
        return None
    if exclude.shape != (len(queries), len(labels)):
        raise ConfigError(f"expected exclude to be {(len(queries), len(labels))}, got {exclude.shape}")
    kept = sp.csr_matrix(exclude, dtype=bool, copy=True)
    kept.eliminate_zeros()
    return kept
