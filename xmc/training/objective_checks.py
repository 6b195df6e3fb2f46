"""What an objective can be known not to take before the first step: by its arguments, and by the device."""

from __future__ import annotations

import torch

from xmc.errors import ConfigError, XMCError
from xmc.objectives.distillation.loss import Distillation
from xmc.objectives.objective import Loss, Objective, StatisticOfScores
from xmc.objectives.plain import PlainObjective
from xmc.objectives.terms import parts_of
from xmc.training.config import TrainConfig
from xmc.training.idle_options import ReadWhere

__all__ = ["check_masked", "check_steps", "read_where"]


def check_steps(loss: Loss, config: TrainConfig, device: torch.device) -> None:
    """Refuse what the steps of a run would refuse, as far as the configuration and the device say.

    Raises:
        XMCError: When a plain function lacks an argument that it needs, or scores cannot be computed so.
    """
    negatives, parts = config.negatives, list(parts_of(loss))
    for part in parts:
        if isinstance(part, PlainObjective):
            part.check_sees(
                log_weights=negatives.mode == "sampled" and negatives.corrected,
                offsets=config.objective.label_offsets,
            )
    if config.objective.learn_scale and not _takes_scale(parts):
        raise ConfigError(
            f"objective.learn_scale: expected false with {loss.facts.name}, as the function has no argument "
            "`scale`, got true: add one, or give --objective.learn_scale false"
        )
    if config.scoring.implementation == "triton" and config.head.kind == "none":
        if any(_scores(part) for part in parts):
            _check_triton(device)


def check_masked(loss: Loss, masked: bool) -> None:
    """Refuse a plain function that has no argument for masked pairs where the data set has any.

    Raises:
        ConfigError: Naming the function.
    """
    for part in parts_of(loss):
        if isinstance(part, PlainObjective):
            part.check_sees(masked=masked)


def read_where(loss: Loss, config: TrainConfig) -> list[ReadWhere]:
    """What plain functions do not read, for :func:`xmc.training.idle_options.idle_options`."""
    parts = list(parts_of(loss))
    if config.distillation.enabled or not all(isinstance(part, PlainObjective) for part in parts):
        return []
    rows = [
        ReadWhere(
            ("scoring.implementation", "scoring.memory_mb", "scoring.precision"),
            f"with {loss.facts.name}, which computes its scores itself",
            lambda config: False,
        )
    ]
    # Offsets are ranked by in units of the scale, whatever the loss reads.
    if not _takes_scale(parts) and not config.objective.label_offsets:
        without = f"with {loss.facts.name}, which has no argument `scale`"
        rows.append(ReadWhere(("objective.scale",), without, lambda config: False))
    return rows


def _takes_scale(parts: list[Loss]) -> bool:
    return any(not isinstance(part, PlainObjective) or "scale" in part.wants for part in parts)


def _scores(part: Loss) -> bool:
    """Whether a loss is known to be folded over tiles of scores, as the kernels do."""
    if isinstance(part, Distillation):
        return True
    return isinstance(part, Objective) and isinstance(part.statistic, StatisticOfScores)


def _check_triton(device: torch.device) -> None:
    from xmc.scoring.fused.availability import require_device

    try:
        require_device(device)
    except XMCError as error:
        raise type(error)(f"scoring.implementation: {error}") from None
