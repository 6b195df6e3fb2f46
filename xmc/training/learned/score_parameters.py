"""What a run learns besides the encoder: the scale of the scores and an offset a label."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from xmc.training.config import ObjectiveConfig

__all__ = ["ScoreParameters"]


class ScoreParameters(nn.Module):
    """The scale, kept as its logarithm, and the label offsets [L], each fixed or learned."""

    label_offsets: nn.Parameter | None

    def __init__(self, config: ObjectiveConfig, num_labels: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(config.scale)), requires_grad=config.learn_scale)
        self.label_offsets = nn.Parameter(torch.zeros(num_labels)) if config.label_offsets else None

    @property
    def scale(self) -> Tensor:
        """One over the temperature, a scalar."""
        return self.log_scale.exp()

    def offsets(self, label_ids: Tensor) -> Tensor | None:
        """The offsets [n] of some labels, or None when none are learned."""
        return None if self.label_offsets is None else self.label_offsets[label_ids]
