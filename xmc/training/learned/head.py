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
from xmc.objectives.catalogue import CATALOGUE, facts_of
from xmc.training.config import TrainConfig

__all__ = ["build_head", "check_head", "ranking_of"]


def check_head(config: TrainConfig) -> None:
    """Check that the other sections fit a head.

    Raises:
        ConfigError: When they do not; the text names the key.
    """
    name = config.objective.name
    facts = CATALOGUE.get(name)
    if facts is None or not facts.takes_moments or config.objective.terms:
        known = ", ".join(name for name, facts in CATALOGUE.items() if facts.takes_moments)
        more = " with further terms" if config.objective.terms else ""
        raise ConfigError(
            f"head.kind: expected one objective that knows the labels by their moments, one of {known}, got "
            f"objective.name {name!r}{more}"
        )
    if config.head.start == "zeros" and facts.needs_spread:
        fit = ", ".join(
            name for name, facts in CATALOGUE.items() if facts.takes_moments and not facts.needs_spread
        )
        raise ConfigError(
            f"head.start: expected labels for {name}, as {facts.needs_spread}; zeros suit {fit}"
        )
    # The head's step is exact SGD on all labels from one batch's loss: what samples labels, adds parameters
    # of labels or sums batches before a step does not go with it.
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
    """How the scores of a run rank labels: ``ranking`` and ``ranking_shift`` of the model's metadata.

    A head is ranked by the likelihood of its loss; encoded labels are always ranked by the score, which is
    what an index of them can search by.
    """
    if config.head.kind == "none":
        return "score", 0.0
    return facts_of(config.objective.name).ranking(scale)


def _encoded(encoder: DualEncoder, texts: Sequence[str], device: torch.device, world: World) -> Tensor:
    start, stop = world.shard(len(texts))
    # A rank with no labels still takes part in the gather.
    local = np.zeros((0, encoder.dimension), dtype=np.float32)
    if stop > start:
        local = encoder.encode_labels(texts[start:stop])
    return all_gather_rows(torch.from_numpy(local).to(device), len(texts), world)
