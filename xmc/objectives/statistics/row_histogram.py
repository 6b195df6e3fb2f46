"""A histogram of each row's scores, made in one pass: it brackets a threshold to a bin."""

from __future__ import annotations

import torch
from torch import Tensor

from xmc.distributed import World, all_reduce_max, all_reduce_sum
from xmc.scoring import Tile
from xmc.scoring.arithmetic import deterministic_index_add
from xmc.scoring.statistic import tile_weights

__all__ = ["NUM_BINS", "RowHistogram"]

# One pass narrows a row's bracket by about this factor.
NUM_BINS = 128
BLOCKS = 16
"""A tile with weights is counted in so many blocks, at least, of equal size."""


class RowHistogram:
    """Weights of each row's scores in equal bins over a range; scores beyond it are in the outermost bins.

    The smallest and the largest score are exact, so the outermost bins are bounded too.
    """

    def __init__(self, low: Tensor, high: Tensor, num_bins: int = NUM_BINS) -> None:
        """Make an empty histogram over ``low`` [B] to ``high`` [B]."""
        self.num_bins = num_bins
        # Equal scores would make bins of width 0.
        tiny = 1e-6 * (1.0 + low.abs() + high.abs())
        self.low, self.width = low, torch.maximum(high - low, tiny) / num_bins
        self.weights = low.new_zeros(len(low) * num_bins, dtype=torch.float64)
        self.highest = torch.full_like(low, -torch.inf)
        self.lowest = torch.full_like(low, torch.inf)
        # Row i's bins are i n to (i + 1) n of one flat histogram, so one bincount serves all rows.
        self._rows = torch.arange(len(low), device=low.device, dtype=torch.int32)[:, None] * num_bins

    def add(self, tile: Tile) -> None:
        """Count a tile's scores."""
        scores = tile.scores
        torch.maximum(self.highest, scores.amax(1), out=self.highest)
        lowest = scores if tile.masked is None else tile.scratch.copy_(scores)
        if tile.masked is not None:
            lowest[tile.masked] = torch.inf  # the smallest of the others, as the largest of them is
        torch.minimum(self.lowest, lowest.amin(1), out=self.lowest)
        # Scores outside the range are in the outermost bins, whose outer edges are exact: see bins.
        bins = torch.sub(scores, self.low[:, None], out=tile.scratch).div_(self.width[:, None])
        bins.clamp_(0, self.num_bins - 1)
        weights = tile_weights(tile)
        if weights is None:
            flat = bins.to(torch.int32).add_(self._rows).view(-1)
            self.weights.add_(torch.bincount(flat, None, len(self.weights)))
            return
        # What is made of a block of weights on the way is several times its size.
        most = max(1, bins.numel() // BLOCKS)
        rows_at_once = max(1, most // max(1, bins.shape[1]))
        for start in range(0, len(bins), rows_at_once):
            rows = slice(start, start + rows_at_once)
            own = self.weights[start * self.num_bins : (start + rows_at_once) * self.num_bins]
            # Rows longer than a block are cut, too.
            for part, by in zip(bins[rows].split(most, 1), weights[rows].split(most, 1), strict=True):
                _add_weights(own, part.to(torch.int32).add_(self._rows[: len(part)]).view(-1), by.reshape(-1))

    def add_parts(self, parts: Tensor) -> None:
        """Count scores counted elsewhere: [parts, num_bins + 2, B], the largest and the smallest last."""
        counts = parts[:, : self.num_bins].double().sum(0)
        self.weights.add_(counts.T.reshape(-1))
        torch.maximum(self.highest, parts[:, -2].amax(0), out=self.highest)
        torch.minimum(self.lowest, parts[:, -1].amin(0), out=self.lowest)

    def merge(self, world: World, known: RowHistogram | None = None) -> None:
        """Add up over ranks: all-reduces of 8 n B bytes, for n bins, and of 2 B floats.

        The second is saved where ``known``, a merged histogram of the same scores, has smallest and largest.
        """
        self.weights = all_reduce_sum(self.weights, world)
        if known is not None:
            self.highest, self.lowest = known.highest, known.lowest
            return
        # A minimum is minus the maximum of the negatives, so one all-reduce does for both.
        ends = all_reduce_max(torch.stack([self.highest, -self.lowest]), world)
        self.highest, self.lowest = ends[0], -ends[1]

    def bins(self) -> tuple[Tensor, Tensor, Tensor]:
        """The left and the right edge of each bin and its weight: [B, n] float64, for n bins."""
        steps = torch.arange(self.num_bins + 1, device=self.low.device)
        edges = self.low.double()[:, None] + self.width.double()[:, None] * steps
        # No score is beyond these two, so a bin need not be wider either: a tighter bracket for nothing.
        edges = edges.clamp(self.lowest.double()[:, None], self.highest.double()[:, None])
        edges[:, 0], edges[:, -1] = self.lowest, self.highest
        return edges[:, :-1], edges[:, 1:], self.weights.view(-1, self.num_bins)


def _add_weights(total: Tensor, places: Tensor, weights: Tensor) -> None:
    """``total[places] += weights``: float64 [n], int32 [P] and float [P]."""
    if _adds_by_atomics(weights):
        deterministic_index_add(total, places.long(), weights.double())
    else:
        total.add_(torch.bincount(places, weights, len(total)))


def _adds_by_atomics(weights: Tensor) -> bool:
    """Whether bincount adds weights in whatever order, as it does on a GPU."""
    return weights.is_cuda
