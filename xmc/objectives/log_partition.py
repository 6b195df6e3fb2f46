"""The log of each row's partition function over its negatives, merged over tiles and ranks."""

from __future__ import annotations

import torch
from torch import Tensor

from xmc.distributed import World, all_reduce_max, all_reduce_sum
from xmc.scoring import Tile
from xmc.scoring.statistic import Walk

__all__ = ["LogPartition"]


class LogPartition:
    """``n_i = log sum_j exp(s_ij + log_weight_j)`` over the labels that are no positives of row i.

    Merged by (max, sum of exp). With ``log_weight`` the negative log of a label's inclusion probability,
    ``exp(n_i)`` is the Horvitz-Thompson estimate of the partition function over all labels. A row without
    negatives has ``n_i = -inf`` and passes no gradient. Over W ranks: two all-reduces of B floats forward,
    none backward.
    """

    masks_positives = True

    def reduce(self, walk: Walk, num_rows: int, like: Tensor, world: World) -> Tensor:
        """See :class:`xmc.scoring.RowStatistic`."""
        return _reduce(walk, num_rows, None, like, world)

    def reduce_with_direction(self, walk: Walk, direction: Tensor, like: Tensor, world: World) -> Tensor:
        """See :class:`xmc.scoring.statistic.DirectStatistic`: the softmax-weighted mean of the labels."""
        return _reduce(walk, len(direction), direction, like, world)

    def tile_gradient(self, tile: Tile, statistic: Tensor, gradient: Tensor) -> Tensor:
        """See :class:`xmc.scoring.RowStatistic`; the softmax of the negatives times ``gradient``."""
        share = torch.sub(_weighted(tile), _finite(statistic)[:, None], out=tile.scratch).exp_()
        return share.mul_(torch.where(torch.isfinite(statistic), gradient, 0.0)[:, None])

    def dense(self, scores: Tensor, log_weights: Tensor | None) -> Tensor:
        """See :class:`xmc.scoring.RowStatistic`."""
        if log_weights is not None:
            scores = scores + log_weights.to(scores.dtype)
        empty = torch.isneginf(scores).all(1)
        # logsumexp of nothing but -inf has no gradient; such rows are computed on zeros and then set aside.
        value = torch.logsumexp(scores.masked_fill(empty[:, None], 0.0), 1)
        return value.masked_fill(empty, -torch.inf)


def _reduce(walk: Walk, num_rows: int, direction: Tensor | None, like: Tensor, world: World) -> Tensor:
    highest = like.new_full((num_rows,), -torch.inf)
    total = like.new_zeros(num_rows)
    for tile in walk():
        scores = _weighted(tile)
        merged = torch.maximum(highest, scores.amax(1))
        shift = _finite(merged)
        decay = torch.exp(highest - shift)
        share = torch.sub(scores, shift[:, None], out=tile.scratch).exp_()
        total.mul_(decay).add_(share.sum(1))
        if direction is not None and tile.labels is not None:
            direction.mul_(decay[:, None]).addmm_(share, tile.labels.to(direction.dtype))
        highest = merged
    overall = all_reduce_max(highest.clone(), world)
    shift = _finite(overall)
    total = all_reduce_sum(total * torch.exp(highest - shift), world)
    value = shift + torch.log(total)
    if direction is not None:
        direction.mul_(torch.exp(highest - _finite(value))[:, None])
    return value


def _weighted(tile: Tile) -> Tensor:
    if tile.log_weights is None:
        return tile.scores
    return torch.add(tile.scores, tile.log_weights, out=tile.scratch)


def _finite(highest: Tensor) -> Tensor:
    """The shift to subtract: 0 where a row has no score yet, as -inf - -inf is not a number."""
    return torch.where(torch.isneginf(highest), 0.0, highest)
