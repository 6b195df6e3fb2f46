"""Which objectives go with which label sources. Imports no torch."""

from __future__ import annotations

from xmc.errors import ConfigError
from xmc.negatives.config import NegativesConfig

__all__ = ["check_sources"]

TAKES_FROZEN = ("softmax", "decoupled_softmax", "supervised_contrastive")
TAKES_CERTAIN = (*TAKES_FROZEN, "binary_cross_entropy", "soft_top_k")


def check_sources(negatives: NegativesConfig, objective: str, batch_size: int, head: bool) -> None:
    """Refuse label sources that the objective, the batch or a head cannot work with.

    Raises:
        ConfigError: Naming the option and what would work.
    """
    if negatives.memory.enabled and objective not in TAKES_FROZEN:
        raise ConfigError(
            f"negatives.memory: expected objective.name to be one of {', '.join(TAKES_FROZEN)}, whose "
            f"partition function can be joined from memory, got {objective}"
        )
    listed = negatives.mined.count > 0 or negatives.clusters.largest > 1
    if listed and negatives.corrected and objective not in TAKES_CERTAIN:
        raise ConfigError(
            "negatives.mined and negatives.clusters: expected objective.name to be one of "
            f"{', '.join(TAKES_CERTAIN)}, got {objective}, which cannot weigh a label by row; use one of "
            "those, or negatives.corrected false"
        )
    if batch_size % negatives.clusters.largest:
        raise ConfigError(
            "negatives.clusters.largest: expected a divisor of training.batch_size, got "
            f"{negatives.clusters.largest} for batches of {batch_size}"
        )
    if head and (negatives.memory.enabled or negatives.mined.count):
        raise ConfigError(
            "negatives.memory and negatives.mined: expected head.kind 'none', as a head trains all labels at "
            "every step and draws none"
        )
