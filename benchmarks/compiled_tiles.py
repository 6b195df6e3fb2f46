"""Tiled scoring with a tile's elementwise work fused by ``torch.compile``, to compare the kernels with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from xmc.distributed import World
from xmc.objectives.statistics import soft_threshold
from xmc.objectives.statistics.log_partition import LogPartition
from xmc.objectives.statistics.negative_softplus import NegativeSoftplus
from xmc.objectives.statistics.soft_threshold import SoftThreshold
from xmc.objectives.statistics.threshold_search import SigmoidSums
from xmc.scoring import Tile, tiled
from xmc.scoring.statistic import Walk, tile_weights

__all__ = ["compiled_tiles"]


@contextmanager
def compiled_tiles(backend: str = "inductor") -> Iterator[None]:
    """Within it "tiled" runs compiled functions of a tile; histograms stay as they are.

    The functions write no tile but the slopes, so a score is read once a pass.
    """

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        # One compilation for all tile widths, of which the last one differs.
        return torch.compile(function, backend=backend, dynamic=True)

    fold, share = compiled(_fold), compiled(_share)
    loss, sigmoid, sums, peak = compiled(_loss), compiled(_sigmoid), compiled(_sums), compiled(_peak)

    def reduce_log_partition(self: Any, walk: Walk, num_rows: int, like: Tensor, world: World) -> Tensor:
        highest, total = like.new_full((num_rows,), -torch.inf), like.new_zeros(num_rows)
        for tile in walk():
            highest, total = fold(tile.scores, tile.log_weights, highest, total)
        # One rank alone, so there is nothing to merge.
        return highest + total.log()

    def log_partition_gradient(self: Any, tile: Tile, statistic: Tensor, gradient: Tensor) -> Tensor:
        return share(tile.scores, tile.log_weights, statistic, gradient)

    def reduce_softplus(self: Any, walk: Walk, num_rows: int, like: Tensor, world: World) -> Tensor:
        total = like.new_zeros(num_rows)
        for tile in walk():
            total += loss(tile.scores, tile.log_weights)
        return total

    def softplus_gradient(self: Any, tile: Tile, statistic: Tensor, gradient: Tensor) -> Tensor:
        return sigmoid(tile.scores, tile.log_weights, gradient)

    def threshold_sums(scaled: Tensor, weights: Tensor | None) -> SigmoidSums:
        return SigmoidSums(*sums(scaled, weights).double().unbind())

    def threshold_gradient(self: Any, tile: Tile, statistic: Tensor, gradient: Tensor) -> Tensor:
        return peak(tile.scores, tile_weights(tile), statistic, gradient, self.alpha)

    # Patched from outside: the package has no such option, and is measured as it is.
    with ExitStack() as stack:
        for owner, name, function in [
            (tiled, "in_place_of", lambda statistic: None),
            (LogPartition, "reduce", reduce_log_partition),
            (LogPartition, "tile_gradient", log_partition_gradient),
            (NegativeSoftplus, "reduce", reduce_softplus),
            (NegativeSoftplus, "tile_gradient", softplus_gradient),
            (soft_threshold, "sigmoid_sums", threshold_sums),
            (SoftThreshold, "tile_gradient", threshold_gradient),
        ]:
            stack.enter_context(patch.object(owner, name, function))
        yield


def _weighted(scores: Tensor, log_weights: Tensor | None) -> Tensor:
    return scores if log_weights is None else scores + log_weights


def _fold(
    scores: Tensor, log_weights: Tensor | None, highest: Tensor, total: Tensor
) -> tuple[Tensor, Tensor]:
    weighted = _weighted(scores, log_weights)
    merged = torch.maximum(highest, weighted.amax(1))
    shift = torch.where(torch.isneginf(merged), 0.0, merged)
    return merged, total * torch.exp(highest - shift) + torch.exp(weighted - shift[:, None]).sum(1)


def _share(scores: Tensor, log_weights: Tensor | None, statistic: Tensor, gradient: Tensor) -> Tensor:
    known = torch.isfinite(statistic)
    shift, factor = torch.where(known, statistic, 0.0), torch.where(known, gradient, 0.0)
    return torch.exp(_weighted(scores, log_weights) - shift[:, None]) * factor[:, None]


def _loss(scores: Tensor, log_weights: Tensor | None) -> Tensor:
    losses = F.softplus(scores)
    return (losses if log_weights is None else losses * log_weights.exp()).sum(1)


def _sigmoid(scores: Tensor, log_weights: Tensor | None, gradient: Tensor) -> Tensor:
    slope = torch.sigmoid(scores) * gradient[:, None]
    return slope if log_weights is None else slope * log_weights.exp()


def _sums(scaled: Tensor, weights: Tensor | None) -> Tensor:
    tail, right = torch.sigmoid(-scaled.abs()), scaled >= 0
    weights = torch.ones_like(tail) if weights is None else weights
    weighted = weights * tail
    below, above = torch.where(right, 0.0, weighted).sum(1), torch.where(right, weighted, 0.0).sum(1)
    count = torch.where(right, weights, 0.0).sum(1)
    return torch.stack([below, above, count, (weighted * (1 - tail)).sum(1)])


def _peak(
    scores: Tensor, weights: Tensor | None, statistic: Tensor, gradient: Tensor, alpha: float
) -> Tensor:
    threshold, slope = statistic.unbind(1)
    factor = torch.where(slope > 0, -gradient[:, 0] / slope, 0.0)
    tail = torch.sigmoid(-(alpha * (scores + threshold[:, None])).abs())
    peak = tail * (1 - tail) * factor[:, None]
    return peak if weights is None else peak * weights
