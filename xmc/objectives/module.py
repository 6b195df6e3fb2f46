"""The loss module that every objective is thin over: a scale, fixed or learned, and an implementation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from xmc.errors import ConfigError
from xmc.scoring.positives import PositivesLike

__all__ = ["ObjectiveModule"]


class ObjectiveModule(nn.Module):
    """An objective with its scale, kept as its logarithm, for use as a loss module."""

    def __init__(
        self,
        objective: Callable[..., Tensor],
        scale: float = 20.0,
        *,
        learn_scale: bool = False,
        implementation: str = "auto",
    ) -> None:
        """Make the module.

        Args:
            objective: A function with the signature of :func:`xmc.objectives.decoupled_softmax`.
            scale: One over the temperature, or where it starts.
            learn_scale: Whether the scale is trained.
            implementation: How scores are computed.

        Raises:
            ConfigError: When ``scale`` is not above 0.
        """
        super().__init__()
        if not scale > 0:
            raise ConfigError(f"expected a scale above 0, as its logarithm is kept, got {scale}")
        self.objective = objective
        self.log_scale = nn.Parameter(torch.log(torch.tensor(float(scale))), requires_grad=learn_scale)
        self.implementation = implementation

    def forward(
        self,
        queries: Tensor,
        labels: Tensor,
        positives: PositivesLike,
        offsets: Tensor | None = None,
        log_weights: Tensor | None = None,
    ) -> Tensor:
        """The mean loss, a scalar, of queries [B, D] against labels [L, D]; the rest are [L]."""
        return self.objective(
            queries,
            labels,
            positives,
            scale=self.log_scale.exp(),
            offsets=offsets,
            log_weights=log_weights,
            implementation=self.implementation,
        )
