"""A negative that every row has besides its own, at a fixed cosine: a positive must win against it too.

Without it a positive that is ahead of all labels of its row learns nothing more, however far from its query.
Source: Chen, Deng and Shen 2018, "Virtual Class Enhanced Discriminative Embedding Learning" (NeurIPS), whose
virtual class is at cosine 1 of every example; here its cosine is an option, and the more rows the lower.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from xmc.errors import ConfigError
from xmc.objectives.objective import Loss, Objective, PositiveScores

__all__ = ["VirtualNegative", "with_virtual_negative"]


@dataclass(frozen=True)
class VirtualNegative:
    """What a negative of weight 1 at ``product`` adds to the log partition of a batch.

    It costs O(B), and no rank asks another. The virtual negative has no offset and no vector, so that it
    moves positives alone: their share of the softmax stays below what it is without.
    """

    product: float

    def __call__(self, own: PositiveScores, log_negatives: Tensor) -> Tensor:
        """``log(e^n + e^(scale * product))`` of each row's log partition n over negatives: [B] to [B].

        A row without negatives, of n = -inf, has this one.
        """
        score = own.scale * log_negatives.new_tensor(self.product)
        return torch.logaddexp(log_negatives, score.to(log_negatives).expand_as(log_negatives))


def with_virtual_negative(loss: Loss, product: float | None) -> Loss:
    """An objective with a virtual negative at ``product``, a cosine of unit vectors; as it is for None.

    Raises:
        ConfigError: For a number that is not finite, and for a loss of which no log partition over negatives
            is known, or which has a virtual negative already.
    """
    if product is None:
        return loss
    if not math.isfinite(product):
        raise ConfigError(f"objective.virtual_negative: expected a finite number, got {product}")
    if not isinstance(loss, Objective) or not loss.facts.takes_virtual_negative:
        raise ConfigError(
            "objective.virtual_negative: expected a loss of the log partition over negatives (softmax, "
            "decoupled_softmax, supervised_contrastive, or your own with takes_virtual_negative among its "
            f"facts), got {loss.facts.name}: give --objective.virtual_negative null"
        )
    if loss.beside is not None:
        raise ConfigError(
            f"objective.virtual_negative: expected none with {loss.facts.name}, which has one of its own"
        )
    return replace(loss, beside=VirtualNegative(product))
