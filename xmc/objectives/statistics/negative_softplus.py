"""The sum of each row's one-versus-all losses over its negatives, merged over tiles and ranks by adding."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from xmc.distributed import World, all_reduce_sum
from xmc.scoring import Positives, Tile
from xmc.scoring.arithmetic import add_product, deterministic_index_add
from xmc.scoring.statistic import RowNumbers, Scan, Walk

__all__ = ["NegativeSoftplus"]


class NegativeSoftplus:
    """``sum_j weight_j softplus(s_ij)`` over the labels that are no positives of row i.

    With ``weight`` one over a label's inclusion probability it is the Horvitz-Thompson estimate of the sum
    over all labels. Over W ranks: one all-reduce of B floats forward, none backward.
    """

    masks_positives = True

    def reduce(self, walk: Walk, num_rows: int, like: Tensor, world: World) -> Tensor:
        """See :class:`xmc.scoring.RowStatistic`."""
        total = like.new_zeros(num_rows)
        for tile in walk():
            total.add_(_loss(tile))
        return all_reduce_sum(total, world)

    def reduce_with_direction(self, walk: Walk, direction: Tensor, like: Tensor, world: World) -> Tensor:
        """See :class:`xmc.scoring.statistic.DirectStatistic`."""
        total = like.new_zeros(len(direction))
        for tile in walk():
            total.add_(_loss(tile))
            if tile.labels is not None:
                # A sum's derivative does not depend on the sum, so it can be taken in the same pass.
                add_product(direction, _slope(tile), tile.labels)
        return all_reduce_sum(total, world)

    def reduce_fused(self, scan: Scan, like: Tensor, world: World) -> Tensor:
        """See :class:`xmc.scoring.statistic.FusedStatistic`."""
        from xmc.objectives.statistics.fused.negative_softplus import FOLD

        return all_reduce_sum(scan(FOLD, RowNumbers())[:, 0].sum(0), world)

    def fused_slope(self, statistic: Tensor, gradient: Tensor) -> tuple[Any, RowNumbers]:
        """See :class:`xmc.scoring.statistic.FusedStatistic`."""
        from xmc.objectives.statistics.fused.negative_softplus import slope

        return slope, RowNumbers(second=gradient)

    def tile_gradient(self, tile: Tile, statistic: Tensor, gradient: Tensor) -> Tensor:
        """See :class:`xmc.scoring.RowStatistic`; ``weight_j sigmoid(s_ij)`` times ``gradient``."""
        return _slope(tile).mul_(gradient[:, None])

    def merge(self, first: Tensor, second: Tensor) -> Tensor:
        """See :class:`xmc.objectives.extra_negatives.MergeableStatistic`; the sum."""
        return first + second

    def of_pairs(self, scores: Tensor, pairs: Positives) -> Tensor:
        """See :class:`xmc.objectives.extra_negatives.MergeableStatistic`."""
        return deterministic_index_add(scores.new_zeros(pairs.num_rows), pairs.rows, F.softplus(scores))

    def dense(self, scores: Tensor, log_weights: Tensor | None) -> Tensor:
        """See :class:`xmc.scoring.RowStatistic`."""
        losses = F.softplus(scores)
        return (losses if log_weights is None else losses * log_weights.to(losses.dtype).exp()).sum(1)


def _loss(tile: Tile) -> Tensor:
    # softplus(s) = log(e^s + e^0), exact at -inf as well: a masked positive adds 0.
    losses = torch.logaddexp(tile.scores, tile.scores.new_zeros(()), out=tile.scratch)
    return losses.sum(1) if tile.log_weights is None else losses @ tile.log_weights.exp()


def _slope(tile: Tile) -> Tensor:
    slope = torch.sigmoid(tile.scores, out=tile.scratch)
    # sigmoid(-inf) = 0: masked positives get none.
    return slope if tile.log_weights is None else slope.mul_(tile.log_weights.exp())
