"""Choosing the k best scores of each row. Ties by a stated rule: score descending, then id ascending."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["CHUNK", "merge_top_k", "new_top_k", "tile_top_k"]

CHUNK = 64
"""Columns whose maximum is looked at before they are."""


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


def new_top_k(tile: Tensor, peaks: Tensor, floor: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Those of the k best of each row that are above the row's floor, found without sorting the tile.

    The k best of a row lie in the k chunks of the highest peaks (among equal peaks the first chunks), as each
    of those has a peak that comes before whatever is in another chunk. A chunk whose peak is not above the
    floor has nothing to add. So only the chunks that are left, of 64 columns each, are looked into.

    Args:
        tile: [B, l], l a multiple of 64.
        peaks: [B, l / 64], the maximum of each chunk of columns.
        floor: [B]; scores that are not above it are not wanted, though some may be returned.
        k: At most so many per row.

    Returns:
        Rows [R] that have something above their floor, and for these scores and columns [R, m].
    """
    above = peaks > floor[:, None]
    rows = above.any(dim=1).nonzero().squeeze(1)
    if not len(rows):
        return rows, tile.new_empty(0, 0), rows.new_empty(0, 0)
    num_chunks = min(k, int(above.sum(dim=1).max()))
    if 2 * num_chunks > peaks.shape[1]:
        return (rows, *tile_top_k(tile if len(rows) == len(tile) else tile[rows], k))
    chunks = tile_top_k(peaks[rows], num_chunks)[1].sort(dim=1).values
    chosen = tile.view(len(tile), -1, CHUNK)[rows[:, None], chunks].flatten(1)
    best, columns = tile_top_k(chosen, k)
    return rows, best, chunks.gather(1, columns // CHUNK) * CHUNK + columns % CHUNK


def _first_columns(scores: Tensor, threshold: Tensor, k: int) -> Tensor:
    """Columns [B, k] of the scores above the threshold [B, 1], filled up with the first ones equal to it."""
    equal = scores == threshold
    above = scores > threshold
    room = k - above.sum(dim=1, keepdim=True)
    chosen = above | (equal & (equal.cumsum(dim=1, dtype=torch.int32) <= room))
    return chosen.nonzero()[:, 1].view(len(scores), k)
