"""The output layer of a run: label vectors trained themselves, in place of encoded label texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from xmc.distributed import World, all_gather_rows
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError
from xmc.heads import FactoredHead
from xmc.objectives.spherical import SPHERICAL_VALUES
from xmc.training.config import TrainConfig

__all__ = ["build_head", "check_head", "ranking_of"]

NOT_FROM_ZERO = {
    "spherical_z_loss": "it divides by the deviation of a query's scores",
    "spherical_softmax": "its gradient is 0 where all scores are",
}


def check_head(config: TrainConfig) -> None:
    """Check that the other sections fit a head.

    Raises:
        ConfigError: When they do not; the text names the key.
    """
    name = config.objective.name
    if name not in SPHERICAL_VALUES:
        raise ConfigError(
            f"head.kind: expected an objective that knows the labels by their moments, one of "
            f"{', '.join(SPHERICAL_VALUES)}, got objective.name {name!r}"
        )
    if config.head.start == "zeros" and name in NOT_FROM_ZERO:
        raise ConfigError(
            f"head.start: expected labels for {name}, as {NOT_FROM_ZERO[name]}; zeros suit taylor_softmax "
            "and mean_squared_error"
        )
    refused = {
        "objective.label_offsets": config.objective.label_offsets,
        "residuals.enabled": config.residuals.enabled,
        "negatives.mode": config.negatives.mode != "all",
        "training.accumulation": config.training.accumulation > 1,
    }
    for key, given in refused.items():
        if given:
            raise ConfigError(
                f"{key}: expected to be left out with head.kind {config.head.kind!r}, which trains the "
                "vectors of all labels at every step"
            )


def build_head(
    config: TrainConfig, encoder: DualEncoder, label_texts: Sequence[str], device: torch.device, world: World
) -> FactoredHead | None:
    """The head that ``config`` asks for, on ``device`` and equal on every rank, or None.

    Over W ranks: one all-gather of the encoded labels [L, D], to start from them.

    Raises:
        ConfigError: When the configuration does not fit a head.
    """
    if config.head.kind == "none":
        return None
    check_head(config)
    if config.head.start == "labels":
        table = _encoded(encoder, label_texts, device, world)
    else:
        table = torch.zeros(len(label_texts), encoder.dimension, device=device)
    options = config.objective.options
    return FactoredHead(table, config.objective.name, options, weight_decay=config.head.weight_decay)


def ranking_of(config: TrainConfig, scale: float) -> tuple[str, float]:
    """How a head's scores rank labels: ``ranking`` and ``ranking_shift`` of the model's metadata.

    The likelier label is that of the larger ``s^2`` for a log-spherical softmax, and of the larger
    ``(s + 1)^2`` for a log-Taylor softmax, with ``s = scale * q.w``.
    """
    if config.head.kind == "none":
        return "score", 0.0
    if config.objective.name == "spherical_softmax":
        return "magnitude", 0.0
    return ("magnitude", 1 / scale) if config.objective.name == "taylor_softmax" else ("score", 0.0)


def _encoded(encoder: DualEncoder, texts: Sequence[str], device: torch.device, world: World) -> Tensor:
    start, stop = world.shard(len(texts))
    local = np.zeros((0, encoder.dimension), dtype=np.float32)
    if stop > start:
        local = encoder.encode_labels(texts[start:stop])
    return all_gather_rows(torch.from_numpy(local).to(device), len(texts), world)
