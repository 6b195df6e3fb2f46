"""Row statistics other than the package's own, to test scoring without an objective."""

from __future__ import annotations

import torch
from torch import Tensor

from xmc.distributed import World, all_reduce_max, all_reduce_sum
from xmc.scoring import Tile
from xmc.scoring.statistic import Walk

__all__ = ["SumOfSquares", "TwoPassLogSumExp"]


class SumOfSquares:
    """``sum_j s_ij^2`` over the negatives: a masked score counts as 0."""

    masks_positives = True

    def reduce(self, walk: Walk, num_rows: int, like: Tensor, world: World) -> Tensor:
        total = like.new_zeros(num_rows)
        for tile in walk():
            total += tile.scores.masked_fill(torch.isneginf(tile.scores), 0.0).square().sum(1)
        return all_reduce_sum(total, world)

    def tile_gradient(self, tile: Tile, statistic: Tensor, gradient: Tensor) -> Tensor:
        scores = tile.scores.masked_fill(torch.isneginf(tile.scores), 0.0)
        return torch.mul(scores, 2 * gradient[:, None], out=tile.scratch)

    def dense(self, scores: Tensor, log_weights: Tensor | None) -> Tensor:
        return torch.where(torch.isneginf(scores), 0.0, scores).square().sum(1)


class TwoPassLogSumExp:
    """``log sum_j exp(s_ij)`` over all labels, positives too: a pass for the maximum, one for the sum."""

    masks_positives = False

    def reduce(self, walk: Walk, num_rows: int, like: Tensor, world: World) -> Tensor:
        highest = like.new_full((num_rows,), -torch.inf)
        for tile in walk():
            highest = torch.maximum(highest, tile.scores.amax(1))
        highest = all_reduce_max(highest, world)
        total = like.new_zeros(num_rows)
        for tile in walk():
            total += torch.exp(tile.scores - highest[:, None]).sum(1)
        return highest + all_reduce_sum(total, world).log()

    def tile_gradient(self, tile: Tile, statistic: Tensor, gradient: Tensor) -> Tensor:
        torch.sub(tile.scores, statistic[:, None], out=tile.scratch)
        return tile.scratch.exp_().mul_(gradient[:, None])

    def dense(self, scores: Tensor, log_weights: Tensor | None) -> Tensor:
        return torch.logsumexp(scores, 1)
