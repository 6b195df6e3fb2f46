"""Exact search: the k best labels of every query by inner product, tiled, with ties decided by a stated rule.

The rule, also at the cut: score descending, then label id ascending. A tile's scores are the only big thing
in memory, so the memory needed does not grow with the number of queries times the number of labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from xmc.errors import ConfigError, ModelError

__all__ = ["exact_search", "merge_top_k", "tile_top_k"]

# A tile's score costs 4 bytes; choosing the best of it as much again, and a little for masks.
_BYTES_PER_SCORE = 10
_TILE_LABELS = 16384


@torch.no_grad()
def exact_search(
    queries: NDArray[Any] | Tensor,
    labels: NDArray[Any] | Tensor,
    k: int,
    *,
    exclude: sp.csr_matrix | None = None,
    offsets: NDArray[Any] | Tensor | None = None,
    memory_bytes: int = 256 * 2**20,
    progress: bool = False,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Rank labels by ``q.e + offset`` in float32 and keep the k best of every query.

    Args:
        queries: [N, D], numpy (memory-mapped too) or torch on any device.
        labels: [L, D]; the search runs on their device, or on the queries' where only those are torch.
        k: Labels to keep.
        exclude: [N, L], true where a pair must not be returned; applied before the cut.
        offsets: [L], added to the scores; -inf keeps a label out altogether.
        memory_bytes: Bytes the scores of one tile and their selection may take.
        progress: Show a bar over the queries.

    Returns:
        Label ids, int32 [N, k], and scores, float32 [N, k], best first, ties by label id ascending; -1 and
        -inf where fewer than k labels remain.

    Raises:
        ConfigError: When k or the shapes cannot be right.
        ModelError: When an embedding or offset is not a number.
    """
    exclude = _check(queries, labels, k, exclude, offsets)
    num_queries, num_labels = len(queries), len(labels)
    device = _device(labels, queries)
    label_step = max(1, min(num_labels, max(_TILE_LABELS, k + 1)))
    query_step = int(max(1, min(num_queries, memory_bytes // (_BYTES_PER_SCORE * label_step))))
    bias = None if offsets is None else _rows(offsets, 0, num_labels, device)
    if bias is not None and bool((bias.isnan() | (bias == torch.inf)).any()):
        raise ModelError("expected offsets to be finite or -inf, but some are not: the model has diverged")
    all_ids = np.full((num_queries, k), -1, dtype=np.int32)
    all_scores = np.full((num_queries, k), -np.inf, dtype=np.float32)
    with tqdm(total=num_queries, desc="searching", unit="query", disable=not progress) as bar:
        for start in range(0, num_queries, query_step):
            stop = min(start + query_step, num_queries)
            block = _rows(queries, start, stop, device)
            mask = None if exclude is None else exclude[start:stop].tocsc()
            scores, ids = _search_block(block, labels, k, label_step, mask, bias)
            all_scores[start:stop, : scores.shape[1]] = scores.cpu().numpy()
            all_ids[start:stop, : ids.shape[1]] = ids.cpu().numpy()
            bar.update(stop - start)
    return all_ids, all_scores


def tile_top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best of each row of scores [B, l]: score descending, then column ascending, also at the cut.

    Returns:
        Scores [B, min(k, l)] and columns, int64 of the same shape.
    """
    width = scores.shape[1]
    if k >= width:
        best, columns = torch.sort(scores, dim=1, descending=True, stable=True)
        return best, columns
    best, columns = torch.topk(scores, k + 1, dim=1)
    # topk chooses freely among equals: a row whose cut falls between equal scores is chosen again.
    tied = ((best[:, k - 1] == best[:, k]) & (best[:, k] > -torch.inf)).nonzero().squeeze(1)
    best, columns = best[:, :k], columns[:, :k].contiguous()
    for rows in tied.split(max(1, len(scores) // 4)):
        columns[rows] = _first_columns(scores[rows], best[rows, -1:], k)
    columns = columns.sort(dim=1).values
    best, order = torch.sort(scores.gather(1, columns), dim=1, descending=True, stable=True)
    return best, columns.gather(1, order)


def merge_top_k(scores: Tensor, ids: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best of top-k lists laid side by side (both [B, m]), by score descending, then id ascending."""
    ids, order = ids.sort(dim=1)
    scores, order = torch.sort(scores.gather(1, order), dim=1, descending=True, stable=True)
    return scores[:, :k], ids.gather(1, order)[:, :k]


def _first_columns(scores: Tensor, threshold: Tensor, k: int) -> Tensor:
    """Columns [B, k] of the scores above the threshold [B, 1], filled up with the first ones equal to it."""
    equal = scores == threshold
    above = scores > threshold
    room = k - above.sum(dim=1, keepdim=True)
    chosen = above | (equal & (equal.cumsum(dim=1, dtype=torch.int32) <= room))
    return chosen.nonzero()[:, 1].view(len(scores), k)


def _search_block(
    queries: Tensor, labels: Any, k: int, label_step: int, exclude: sp.csc_matrix | None, bias: Tensor | None
) -> tuple[Tensor, Tensor]:
    scores = queries.new_empty(len(queries), 0)
    ids = torch.empty(len(queries), 0, dtype=torch.int64, device=queries.device)
    for start in range(0, len(labels), label_step):
        stop = min(start + label_step, len(labels))
        tile = queries @ _rows(labels, start, stop, queries.device).T
        if bool(tile.isnan().any()):
            raise ModelError(
                f"expected embeddings of numbers, but labels {start} to {stop} score NaN: the model has "
                "diverged"
            )
        if bias is not None:
            tile += bias[start:stop]
        if exclude is not None:
            _drop(tile, exclude, start, stop)
        tile_scores, columns = tile_top_k(tile, k)
        scores, ids = merge_top_k(
            torch.cat([scores, tile_scores], 1), torch.cat([ids, columns + start], 1), k
        )
    return scores, ids.masked_fill(scores == -torch.inf, -1)


def _drop(tile: Tensor, exclude: sp.csc_matrix, start: int, stop: int) -> None:
    bounds = exclude.indptr[start : stop + 1]
    rows = torch.from_numpy(exclude.indices[bounds[0] : bounds[-1]].astype(np.int64))
    columns = torch.from_numpy(np.repeat(np.arange(stop - start), np.diff(bounds)))
    tile[rows.to(tile.device), columns.to(tile.device)] = -torch.inf


def _rows(values: NDArray[Any] | Tensor, start: int, stop: int, device: torch.device) -> Tensor:
    part = values[start:stop]
    if not isinstance(part, Tensor):
        # Copied, as torch must not be given a read-only memory map.
        part = torch.from_numpy(np.array(part, dtype=np.float32))
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
