"""Exact search: the k best labels of every query by inner product, tiled, with ties decided by a stated rule.

The rule, also at the cut: score descending, then label id ascending. A tile's scores are the only big thing
in memory, so the memory needed does not grow with the number of queries times the number of labels. A tile
costs its product and a pass for the maxima of chunks of it, while it is in a CPU's cache: few chunks hold
what is above a row's floor, which is first guessed from a sample of the labels and then the k-th best so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from xmc.errors import ConfigError, ModelError
from xmc.progress import Bar
from xmc.retrieval.likely_floor import likely_floor, sample_stride
from xmc.retrieval.mapped import to_read
from xmc.retrieval.running_top_k import RunningTopK
from xmc.retrieval.top_k import CHUNK, merge_top_k, tile_top_k

__all__ = ["exact_search", "merge_top_k", "tile_top_k"]

# A tile's score costs 4 bytes; choosing the best of it up to twice as much again, where k is large, where
# scores are equal or where many are above their floor.
_BYTES_PER_SCORE = 13
_MEMORY = 256 << 20
_MOST_MEMORY_OF_A_GPU = 4 << 30
_TILE_QUERIES = 1_024
# 16 MB of scores on a CPU: written and looked at within its last cache.
_TILE_SCORES = _TILE_QUERIES * 4_096
# A product of fewer rows or columns than this goes to other kernels of the BLAS library, which round
# differently; with this padding a score has the same bits whatever tile or shard it is computed in.
_LEAST_SIDE = 64
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
    most = (_memory_of(device) if memory_bytes is None else memory_bytes) // _BYTES_PER_SCORE
    query_step, label_step = _tile_shape(
        num_queries, num_labels, k, min(most, _TILE_SCORES) if device.type == "cpu" else most
    )
    bias = None if offsets is None else _rows(offsets, 0, num_labels, device)
    if bias is not None and bool((bias.isnan() | (bias == torch.inf)).any()):
        raise ModelError("expected offsets to be finite or -inf, but some are not: the model has diverged")
    all_ids = np.full((num_queries, k), -1, dtype=np.int32)
    all_scores = np.full((num_queries, k), -np.inf, dtype=np.float32)
    sample = _sample(labels, bias, k, label_step, device) if num_queries >= _SAMPLED_FROM else None
    buffer = torch.empty(max(query_step, _LEAST_SIDE), _whole_chunks(label_step), device=device)
    with Bar(num_queries, "searching", "query", shown=progress) as bar:
        for start in range(0, num_queries, query_step):
            stop = min(start + query_step, num_queries)
            block = _rows(queries, start, stop, device)
            mask = None if exclude is None else exclude[start:stop].tocsc()
            # A block that is left may be small.
            floor = sample.floor(block, mask, buffer) if sample and len(block) >= _SAMPLED_FROM else None
            scores, ids = _search_block(block, labels, k, label_step, mask, bias, buffer, floor)
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
    k: int

    def floor(self, queries: Tensor, exclude: sp.csc_matrix | None, buffer: Tensor) -> Tensor:
        """What the k best of a block of queries are most likely above, [B]."""
        scores = _scores(_at_least(queries, _LEAST_SIDE), self.vectors, buffer)[: len(queries)]
        scores = scores[:, : len(self.vectors)]
        if self.bias is not None:
            scores += self.bias
        if exclude is not None:
            _drop(scores, exclude[:, :: self.stride], 0, len(self.vectors))
        return likely_floor(scores, self.k, self.stride)


def _sample(
    labels: Any, bias: Tensor | None, k: int, label_step: int, device: torch.device
) -> _Sample | None:
    """None where a sample is of no use, or its scores do not fit a tile."""
    stride = sample_stride(len(labels), k)
    if stride is None or -(-len(labels) // stride) > label_step:
        return None
    part = labels[::stride]
    return _Sample(_rows(part, 0, len(part), device), None if bias is None else bias[::stride], stride, k)


def _search_block(
    queries: Tensor,
    labels: Any,
    k: int,
    label_step: int,
    exclude: sp.csc_matrix | None,
    bias: Tensor | None,
    buffer: Tensor,
    floor: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Scores and ids [B, k] of a block of queries; -inf and -1 where there are fewer."""
    best = RunningTopK(len(queries), k, queries.device, floor)
    padded = _at_least(queries, _LEAST_SIDE)
    for start in range(0, len(labels), label_step):
        stop = min(start + label_step, len(labels))
        tile = _scores(padded, _rows(labels, start, stop, queries.device), buffer)[: len(queries)]
        if bias is not None:
            tile[:, : stop - start] += bias[start:stop]
        if exclude is not None:
            _drop(tile, exclude, start, stop)
        peaks = tile.view(len(tile), -1, CHUNK).amax(dim=2)
        if not best.add(tile, peaks, start):
            raise ModelError(
                f"expected embeddings of numbers, but labels {start} to {stop} score NaN: the model has "
                "diverged"
            )
    scores, ids = best.lists()
    if floor is not None and len(short := best.short()):
        mask = None if exclude is None else exclude.tocsr()[short.cpu().numpy()].tocsc()
        scores[short], ids[short] = _search_block(queries[short], labels, k, label_step, mask, bias, buffer)
    return scores, ids


def _memory_of(device: torch.device) -> int:
    """Bytes for a tile where the caller does not say."""
    if device.type != "cuda":
        return _MEMORY
    # Of small tiles a GPU's time goes to launches and to waiting for the host between them.
    return int(min(_MOST_MEMORY_OF_A_GPU, torch.cuda.get_device_properties(device).total_memory // 16))


def _tile_shape(num_queries: int, num_labels: int, k: int, most: int) -> tuple[int, int]:
    """Queries and labels of a tile of at most ``most`` scores, though of more than k labels."""
    rows = max(_LEAST_SIDE, min(num_queries, _TILE_QUERIES))
    # An odd number of chunks: rows a power of two apart would be in the same lines of a CPU's cache.
    width = (((most // rows // CHUNK) - 1) | 1) * CHUNK
    columns = max(1, min(num_labels, max(width, k + 1)))
    return max(1, min(num_queries, _TILE_QUERIES, most // columns)), columns


def _scores(queries: Tensor, labels: Tensor, buffer: Tensor) -> Tensor:
    """``queries @ labels.T`` in a part of ``buffer``, with columns of -inf up to a whole chunk."""
    width = len(labels)
    labels = _at_least(labels, _LEAST_SIDE)
    tile = buffer[: len(queries), : _whole_chunks(width)]
    if tile.shape[1] < buffer.shape[1]:
        tile = buffer.view(-1)[: tile.numel()].view(tile.shape)
    torch.mm(queries, labels.T, out=tile[:, : len(labels)])
    tile[:, width:] = -torch.inf
    return tile


def _at_least(rows: Tensor, count: int) -> Tensor:
    return F.pad(rows, (0, 0, 0, count - len(rows))) if len(rows) < count else rows


def _whole_chunks(width: int) -> int:
    return max(_LEAST_SIDE, -(-width // CHUNK) * CHUNK)


def _drop(tile: Tensor, exclude: sp.csc_matrix, start: int, stop: int) -> None:
    bounds = exclude.indptr[start : stop + 1]
    rows = torch.from_numpy(exclude.indices[bounds[0] : bounds[-1]].astype(np.int64))
    columns = torch.from_numpy(np.repeat(np.arange(stop - start), np.diff(bounds)))
    tile[rows.to(tile.device), columns.to(tile.device)] = -torch.inf


def _rows(values: NDArray[Any] | Tensor, start: int, stop: int, device: torch.device) -> Tensor:
    part = values[start:stop]
    if not isinstance(part, Tensor):
        part = to_read(np.asarray(part, dtype=np.float32))
    return part.detach().to(device=device, dtype=torch.float32)


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
