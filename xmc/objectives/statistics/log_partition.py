"""The log of each row's partition function over its negatives, merged over tiles and ranks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from xmc.distributed import World, all_reduce_max, all_reduce_sum
from xmc.objectives.objective import StatisticOfScores
from xmc.objectives.statistics.segments import row_log_sum_exp
from xmc.scoring import Positives, ScoreInputs, Tile
from xmc.scoring.arithmetic import add_product
from xmc.scoring.statistic import RowNumbers, Scan, Walk

__all__ = ["LogPartition", "log_partition"]


class LogPartition:
    """``n_i = log sum_j exp(s_ij + log_weight_j)`` over the labels that are no positives of row i.

    Merged by (max, sum of exp). With ``log_weight`` the negative log of a label's inclusion probability,
    ``exp(n_i)`` is the Horvitz-Thompson estimate of the partition function over all labels. A row without
    negatives has ``n_i = -inf`` and passes no gradient. Over W ranks: two all-reduces of B floats forward,
    none backward.
    """

    masks_positives = True
    adds_log_weights = True

    def reduce(self, walk: Walk, num_rows: int, like: Tensor, world: World) -> Tensor:
        """See :class:`xmc.scoring.RowStatistic`."""
        sums = _RunningSums(num_rows, like)
        for tile in walk():
            sums.add(tile, tile.scratch)
        return sums.over_ranks(world)

    def reduce_in_place(
        self, walk: Walk, num_rows: int, like: Tensor, world: World
    ) -> tuple[Tensor, list[Tensor]]:
        """See :class:`xmc.scoring.statistic.InPlaceStatistic`: leaves ``exp(s - shift)``, and the shifts."""
        sums, shifts = _RunningSums(num_rows, like), []
        for tile in walk():
            sums.add(tile, tile.scores)
            shifts.append(sums.shift)
        return sums.over_ranks(world), shifts

    def reduce_with_direction(self, walk: Walk, direction: Tensor, like: Tensor, world: World) -> Tensor:
        """See :class:`xmc.scoring.statistic.DirectStatistic`: the softmax-weighted mean of the labels."""
        sums = _RunningSums(len(direction), like)
        for tile in walk():
            share, decay = sums.add(tile, tile.scratch)
            if tile.labels is not None:
                # The same sum with the labels' vectors in it, so it decays with the same factors.
                add_product(direction.mul_(decay[:, None]), share, tile.labels)
        value = sums.over_ranks(world)
        # From this rank's maximum to the partition function of all ranks: sum_j softmax_j e_j of its labels.
        direction.mul_(torch.exp(sums.highest - _finite(value))[:, None])
        return value

    def reduce_fused(self, scan: Scan, like: Tensor, world: World) -> Tensor:
        """See :class:`xmc.scoring.statistic.FusedStatistic`."""
        from xmc.objectives.statistics.fused.log_partition import FOLD

        parts = scan(FOLD, RowNumbers())
        highest = parts[:, 0].amax(0)
        # Each part's sum is relative to its own maximum; the common one is the shift for all.
        total = (parts[:, 1] * torch.exp(parts[:, 0] - _finite(highest))).sum(0)
        return _over_ranks(highest, total, world)

    def fused_slope(self, statistic: Tensor, gradient: Tensor) -> tuple[Any, RowNumbers]:
        """See :class:`xmc.scoring.statistic.FusedStatistic`."""
        from xmc.objectives.statistics.fused.log_partition import slope

        return slope, RowNumbers(_finite(statistic), _where_finite(statistic, gradient))

    def tile_gradient(self, tile: Tile, statistic: Tensor, gradient: Tensor) -> Tensor:
        """See :class:`xmc.scoring.RowStatistic`; the softmax of the negatives times ``gradient``."""
        # d n / d s_j = exp(s_j + log_weight_j - n): a masked positive has -inf, and so 0.
        scores = _weighted(tile, tile.scratch)
        share = torch.sub(scores, _finite(statistic)[:, None], out=tile.scratch).exp_()
        return share.mul_(_where_finite(statistic, gradient)[:, None])

    def gradient_in_place(self, tile: Tile, numbers: Tensor, statistic: Tensor, gradient: Tensor) -> Tensor:
        """See :class:`xmc.scoring.statistic.InPlaceStatistic`: ``exp(s - shift)`` by ``exp(shift - n)``."""
        # A shift is at most n, but where a row had no score yet: it has zeros there, which inf would spoil.
        shares = torch.exp((numbers - _finite(statistic)).clamp_(max=0.0))
        factors = shares * _where_finite(statistic, gradient)
        return tile.scores.mul_(factors[:, None])

    def merge(self, first: Tensor, second: Tensor) -> Tensor:
        """See :class:`xmc.objectives.extra_negatives.MergeableStatistic`; ``log(e^first + e^second)``."""
        # Where both are -inf logaddexp has no gradient.
        empty = torch.isneginf(first) & torch.isneginf(second)
        merged = torch.logaddexp(first.masked_fill(empty, 0.0), second.masked_fill(empty, 0.0))
        return merged.masked_fill(empty, -torch.inf)

    def of_pairs(self, scores: Tensor, pairs: Positives) -> Tensor:
        """See :class:`xmc.objectives.extra_negatives.MergeableStatistic`."""
        return row_log_sum_exp(scores, pairs)

    def dense(self, scores: Tensor, log_weights: Tensor | None) -> Tensor:
        """See :class:`xmc.scoring.RowStatistic`."""
        if log_weights is not None:
            scores = scores + log_weights.to(scores.dtype)
        empty = torch.isneginf(scores).all(1)
        # logsumexp of nothing but -inf has no gradient; such rows are computed on zeros and then set aside.
        value = torch.logsumexp(scores.masked_fill(empty[:, None], 0.0), 1)
        return value.masked_fill(empty, -torch.inf)


def _log_partition(inputs: ScoreInputs) -> LogPartition:
    return LogPartition()


log_partition = StatisticOfScores(_log_partition)
"""The log partition function [B] over each row's negatives, for an objective."""


class _RunningSums:
    """Each row's largest score so far and the sum of ``exp(score - shift)``, a tile after the other.

    With the largest score so far as the shift nothing overflows, and a new maximum costs one factor on what
    was summed before (Milakov and Gimelshein 2018, arXiv 1805.02867).
    """

    def __init__(self, num_rows: int, like: Tensor) -> None:
        self.highest = like.new_full((num_rows,), -torch.inf)  # [B]
        self.total = like.new_zeros(num_rows)
        self.shift = self.total

    def add(self, tile: Tile, out: Tensor) -> tuple[Tensor, Tensor]:
        """Add a tile.

        Returns:
            Its ``exp(score - shift)`` [B, t], in ``out``, and what sums before it are multiplied by, [B].
        """
        scores = _weighted(tile, out)
        merged = torch.maximum(self.highest, scores.amax(1))
        self.shift = _finite(merged)
        # 0 for the first tile, where the highest is -inf.
        decay = torch.exp(self.highest - self.shift)
        share = torch.sub(scores, self.shift[:, None], out=out).exp_()
        self.total.mul_(decay).add_(share.sum(1))
        self.highest = merged
        return share, decay

    def over_ranks(self, world: World) -> Tensor:
        """The log partition function [B] over the labels of all ranks."""
        if world.size == 1:
            return self.shift + torch.log(self.total)
        return _over_ranks(self.highest, self.total, world)


def _over_ranks(highest: Tensor, total: Tensor, world: World) -> Tensor:
    """The log partition function from this rank's maximum and its sum of ``exp(score - maximum)``."""
    # Shifted before it is summed, as sums relative to different maxima cannot be added.
    shift = _finite(all_reduce_max(highest.clone(), world))
    total = all_reduce_sum(total * torch.exp(highest - shift), world)
    return shift + torch.log(total)


def _weighted(tile: Tile, out: Tensor) -> Tensor:
    if tile.log_weights is None:
        return tile.scores
    return torch.add(tile.scores, tile.log_weights, out=out)


def _finite(highest: Tensor) -> Tensor:
    """The shift to subtract: 0 where a row has no score yet, as -inf - -inf is not a number."""
    return torch.where(torch.isneginf(highest), 0.0, highest)


def _where_finite(statistic: Tensor, gradient: Tensor) -> Tensor:
    """The gradients [B] by the statistic, 0 where a row has no negatives."""
    return torch.where(torch.isfinite(statistic), gradient, 0.0)
