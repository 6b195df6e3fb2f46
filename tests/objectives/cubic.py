"""An objective that the package does not have: the whole of what it takes to add one.

The mean over positives c of ``log(1 + n_i) - s_ic``, with n_i the sum of the cubes of the positive parts of
the negatives' scores.
"""

from __future__ import annotations

import torch
from torch import Tensor

from xmc.distributed import World, all_reduce_sum
from xmc.objectives import ObjectiveFacts, facts_of
from xmc.objectives.objective import Objective, PositiveScores, StatisticOfScores
from xmc.objectives.public import loss_module
from xmc.scoring import Tile
from xmc.scoring.statistic import Walk

FACTS = ObjectiveFacts("cubic_loss", module=__name__)


class SumOfCubes:
    """``sum_j weight_j relu(s_ij)^3`` over the labels that are no positives of row i."""

    masks_positives = True

    def reduce(self, walk: Walk, num_rows: int, like: Tensor, world: World) -> Tensor:
        total = like.new_zeros(num_rows)
        for tile in walk():
            cubes = tile.scores.clamp_min(0.0) ** 3
            total += cubes.sum(1) if tile.log_weights is None else cubes @ tile.log_weights.exp()
        return all_reduce_sum(total, world)

    def tile_gradient(self, tile: Tile, statistic: Tensor, gradient: Tensor) -> Tensor:
        slope = torch.clamp_min(tile.scores, 0.0, out=tile.scratch).square_().mul_(3 * gradient[:, None])
        return slope if tile.log_weights is None else slope.mul_(tile.log_weights.exp())

    def dense(self, scores: Tensor, log_weights: Tensor | None) -> Tensor:
        cubes = scores.clamp_min(0.0) ** 3
        return (cubes if log_weights is None else cubes * log_weights.exp()).sum(1)


def cubic_rows(own: PositiveScores, total: Tensor, weight: float) -> Tensor:
    return own.positives.row_mean(weight * torch.log1p(total)[own.rows] - own.scores)


def objective(weight: float = 1.0) -> Objective[Tensor]:
    def rows(own: PositiveScores, total: Tensor) -> Tensor:
        return cubic_rows(own, total, weight)

    return Objective(facts_of("cubic_loss"), StatisticOfScores(lambda inputs: SumOfCubes()), rows)


def loss_class() -> type:
    return loss_module(objective)
