"""AdamW with a rate for each kind of parameter, and the schedule they share."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from xmc.objectives.catalogue import SCALE_LEARNING_RATE
from xmc.training.config import OptimisationConfig
from xmc.training.learned.score_parameters import ScoreParameters

__all__ = ["build_optimizer", "set_rates", "warmup_linear_decay"]


def build_optimizer(
    encoder_parameters: Iterable[nn.Parameter], score_parameters: ScoreParameters, config: OptimisationConfig
) -> torch.optim.AdamW:
    """AdamW over the encoder (decay on matrices only), the label offsets and the log scale, in that order."""
    encoder = [p for p in encoder_parameters if p.requires_grad]
    groups = [
        _group([p for p in encoder if p.ndim > 1], config.learning_rate, config.weight_decay),
        _group([p for p in encoder if p.ndim <= 1], config.learning_rate),
        _group(_trained(score_parameters.label_offsets), config.offset_learning_rate),
        _group(_trained(score_parameters.log_scale), config.scale_learning_rate or SCALE_LEARNING_RATE),
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], fused=True)


def _group(parameters: list[nn.Parameter], peak: float, decay: float = 0.0) -> dict[str, object]:
    return {"params": parameters, "lr": peak, "peak_lr": peak, "weight_decay": decay}


def _trained(parameter: nn.Parameter | None) -> list[nn.Parameter]:
    return [parameter] if parameter is not None and parameter.requires_grad else []


def warmup_linear_decay(step: int, num_steps: int, warmup: float) -> float:
    """The share of the peak rate at ``step`` (from 0).

    It rises over ``warmup * num_steps`` steps, then falls to zero.
    """
    rising = round(warmup * num_steps)
    if step < rising:
        return (step + 1) / rising
    return max(0.0, (num_steps - step) / max(1, num_steps - rising))


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's rate to ``factor`` of its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
