"""Labels of several vectors: scores of vectors folded into one score a label, exactly.

A label's score is that of its best text, or the mean of its two best. The maximum over several vectors of one
document is that of ME-BERT (Luan et al. 2021, "Sparse, Dense, and Attentional Representations for Text
Retrieval", arXiv:2005.00181).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmc.data.label_texts import FOLDS
from xmc.errors import ConfigError, ModelError
from xmc.retrieval.top_k import merge_top_k, tile_top_k

__all__ = ["Fold", "fold_columns", "folded_search"]

_TILE_SCORES = 1 << 23


@dataclass(frozen=True, eq=False)
class Fold:
    """Which vectors are a label's, and how their scores make its.

    Attributes:
        bounds: int64 [l + 1]; label ``i`` has the vectors ``bounds[i]`` up to ``bounds[i + 1]``, one or more.
        how: "max" or "top2".
    """

    bounds: NDArray[np.int64]
    how: str

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, an unknown fold and labels without a vector."""
        if self.how not in FOLDS:
            raise ConfigError(f"expected a fold of {' or '.join(FOLDS)}, got {self.how!r}")
        if (np.diff(self.bounds) < 1).any():
            raise ConfigError("expected a vector of each label, got some without")

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Vectors of each label."""
        return np.diff(self.bounds)

    def __len__(self) -> int:
        """Labels."""
        return len(self.bounds) - 1


def fold_columns(scores: Tensor, bounds: NDArray[np.int64], how: str) -> Tensor:
    """Scores [B, l] of labels from those of their vectors [B, t], which lie side by side.

    Args:
        scores: [B, t].
        bounds: int64 [l + 1], of columns.
        how: "max" or "top2".
    """
    counts = np.diff(bounds)
    starts = torch.from_numpy(bounds[:-1]).to(scores.device)
    best = scores[:, starts]
    second = torch.full_like(best, -torch.inf)
    for further in range(1, int(counts.max(initial=1))):
        having = torch.from_numpy(np.flatnonzero(counts > further)).to(scores.device)
        more, so_far = scores[:, starts[having] + further], best[:, having]
        second[:, having] = torch.maximum(second[:, having], torch.minimum(so_far, more))
        best[:, having] = torch.maximum(so_far, more)
    if how == "max":
        return best
    return torch.where(second == -torch.inf, best, (best + second) / 2)


@torch.no_grad()
def folded_search(
    queries: NDArray[Any] | Tensor,
    vectors: NDArray[Any] | Tensor,
    k: int,
    fold: Fold,
    *,
    exclude: sp.csr_matrix | None = None,
    offsets: NDArray[Any] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The k best labels of every query, exactly: every vector is scored, and a tile of scores is folded.

    Args:
        queries: [N, D].
        vectors: [T, D], of the labels' texts; the search runs on their device.
        k: Labels to keep.
        fold: Of l labels.
        exclude: [N, l], true where a pair must not be returned.
        offsets: [l], added to the labels' scores; -inf keeps a label out.

    Returns:
        As `xmc.retrieval.exact.exact_search`: label ids int32 [N, k] and scores float32 [N, k].

    Raises:
        ConfigError: When there are not as many vectors as the fold says.
        ModelError: When a score is not a number.
    """
    if len(vectors) != fold.bounds[-1]:
        raise ConfigError(f"expected {fold.bounds[-1]} vectors of labels' texts, got {len(vectors)}")
    device = vectors.device if isinstance(vectors, Tensor) else torch.device("cpu")
    every = torch.as_tensor(queries, dtype=torch.float32, device=device)
    bias = None if offsets is None else torch.as_tensor(offsets, dtype=torch.float32, device=device)
    ids = np.full((len(every), k), -1, dtype=np.int32)
    scores = np.full((len(every), k), -np.inf, dtype=np.float32)
    rows = 1_024
    for first in range(0, len(every), rows):
        block = every[first : first + rows]
        best = block.new_full((len(block), k), -torch.inf)
        found = torch.full((len(block), k), -1, dtype=torch.int64, device=device)
        left_out = None if exclude is None else exclude[first : first + rows].tocsc()
        for start, stop in _tiles(fold, max(1, _TILE_SCORES // max(1, len(block)))):
            low, high = fold.bounds[start], fold.bounds[stop]
            part = torch.as_tensor(vectors[low:high], dtype=torch.float32, device=device)
            tile = fold_columns(block @ part.T, fold.bounds[start : stop + 1] - low, fold.how)
            if bool(tile.isnan().any()):
                raise ModelError(f"expected numbers, but labels {start} to {stop} score NaN: it diverged")
            if bias is not None:
                tile += bias[start:stop]
            if left_out is not None:
                pairs = left_out[:, start:stop].tocoo()
                tile[torch.from_numpy(pairs.row).long(), torch.from_numpy(pairs.col).long()] = -torch.inf
            top, columns = tile_top_k(tile, k)
            best, found = merge_top_k(torch.cat([best, top], 1), torch.cat([found, columns + start], 1), k)
        found = found.masked_fill(best == -torch.inf, -1)
        ids[first : first + rows], scores[first : first + rows] = found.cpu().numpy(), best.cpu().numpy()
    return ids, scores


def _tiles(fold: Fold, vectors: int) -> list[tuple[int, int]]:
    """Runs of whole labels with at most so many vectors each, or one label."""
    tiles, start = [], 0
    while start < len(fold):
        stop = int(np.searchsorted(fold.bounds, fold.bounds[start] + vectors, side="right")) - 1
        tiles.append((start, max(start + 1, stop)))
        start = tiles[-1][1]
    return tiles
