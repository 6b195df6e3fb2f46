"""A margin as an objective takes it: on the positives' scores of a batch, on every rank alike."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from xmc.distributed.world import to_device
from xmc.errors import ConfigError
from xmc.objectives.margins.config import MarginConfig
from xmc.objectives.margins.transforms import angular, annealed, cosine_less, large_margin
from xmc.objectives.objective import Loss, Objective, PositiveScores
from xmc.random_streams import Stream, generator

__all__ = ["CosineMargin", "drawn_sizes", "plain_weight", "with_margin"]


def drawn_sizes(config: MarginConfig, cosines: Tensor, seed: int, batch_index: int) -> Tensor:
    """The margin of each positive of a batch, [P], at least 0 and the same on every rank.

    ElasticFace (Boutros et al. 2022, arXiv:2109.09416): drawn from a normal distribution. With
    ``config.ranked`` (its "+" variants) the larger ones go to the smaller cosines, which the published code
    does not do: it indexes by a permutation where its inverse is meant.

    Args:
        config: The mean and the deviation.
        cosines: [P], which are not changed.
        seed: The run's.
        batch_index: Of the batch: another has other draws.
    """
    draw = generator(seed, Stream.MARGINS, batch_index)
    drawn = draw.normal(config.size, config.deviation, len(cosines)).clip(min=0.0)
    sizes = to_device(drawn, cosines.device).to(cosines.dtype)
    if not config.ranked:
        return sizes
    hardest_last = torch.argsort(cosines.detach(), descending=True, stable=True)
    return torch.empty_like(sizes).index_copy_(0, hardest_last, sizes.sort().values)


def plain_weight(config: MarginConfig, batch_index: int) -> float:
    """The weight of the plain cosine beside L-Softmax's, after ``batch_index`` batches.

    ``max(least, start (1 + decay t)^-power)``, as the authors' code does (wy1iu/LargeMargin_Softmax_Loss).
    """
    begun = config.plain_start * math.pow(1 + config.plain_decay * batch_index, -config.plain_power)
    return max(config.plain_least, begun)


@dataclass(frozen=True)
class CosineMargin:
    """What a configuration makes of the positives' scores; see :data:`xmc.objectives.Margin`.

    It costs O(P), and a rank asks the others for nothing but the positives' offsets. It has no state: draws
    and annealing follow from the index of the batch.
    """

    config: MarginConfig
    seed: int = 0

    def __call__(self, own: PositiveScores) -> Tensor:
        """The scores [P] with their margins: ``offset + scale * T(cos)`` of ``offset + scale * cos``."""
        cosines = own.products()
        # Rounding, or a residual on top of a text's vector, can take a product beyond the cosines there are.
        inside = cosines.clamp(-1, 1)
        return own.scores + own.scale * (self._moved(inside, own) - inside)

    def _moved(self, cosines: Tensor, own: PositiveScores) -> Tensor:
        config, batch_index = self.config, 0 if own.inputs is None else own.inputs.batch_index
        if config.kind == "l_softmax":
            moved = large_margin(cosines, config.multiple)
            return annealed(cosines, moved, plain_weight(config, batch_index))
        size: float | Tensor = config.size
        if config.deviation:
            size = drawn_sizes(config, cosines, self.seed, batch_index)
        return angular(cosines, size) if config.kind == "arcface" else cosine_less(cosines, size)


def with_margin(loss: Loss, config: MarginConfig, seed: int) -> Loss:
    """An objective with the margin that a recipe asks for, or as it is where it asks for none.

    Raises:
        ConfigError: For a loss that takes none, or has one already.
    """
    if config.kind == "none":
        return loss
    if not isinstance(loss, Objective) or not loss.facts.takes_margin:
        raise ConfigError(
            f"objective.margin: expected a loss that leaves positives out of what they compete with "
            f"(softmax, decoupled_softmax, supervised_contrastive, binary_cross_entropy, or your own with "
            f"takes_margin among its facts), got {loss.facts.name}"
        )
    if loss.margin is not None:
        raise ConfigError(f"objective.margin: expected none with {loss.facts.name}, which has one of its own")
    return replace(loss, margin=CosineMargin(config, seed))
