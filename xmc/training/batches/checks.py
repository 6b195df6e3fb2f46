"""Which objectives go with which label sources. Imports no torch."""

from __future__ import annotations

from xmc.errors import ConfigError
from xmc.training.batches.config import NegativesConfig

__all__ = ["TAKES_MOMENTS", "check_sources"]

TAKES_FROZEN = ("softmax", "decoupled_softmax", "supervised_contrastive")
TAKES_MOMENTS = ("spherical_z_loss", "taylor_softmax", "spherical_softmax", "mean_squared_error")
TAKES_CERTAIN = (*TAKES_FROZEN, "binary_cross_entropy", "soft_top_k")


def check_sources(
    negatives: NegativesConfig,
    objective: str,
    batch_size: int,
    head: bool,
    *,
    label_offsets: bool = False,
    implementation: str = "auto",
) -> None:
    """Refuse label sources that the objective, the batch or a head cannot work with.

    Raises:
        ConfigError: Naming the option and what would work.
    """
    if negatives.memory.enabled and objective not in (*TAKES_FROZEN, *TAKES_MOMENTS):
        raise ConfigError(
            f"negatives.memory: expected objective.name to be one of {', '.join(TAKES_FROZEN)}, whose "
            f"partition function can be joined from memory, or of {', '.join(TAKES_MOMENTS)}, whose moments "
            f"can, got {objective}"
        )
    if negatives.memory.enabled and objective in TAKES_MOMENTS:
        if label_offsets:
            raise ConfigError(
                f"negatives.memory: expected objective.label_offsets false with {objective}, as the moments "
                "of remembered labels hold no offsets"
            )
        if implementation == "dense":
            raise ConfigError(
                f"scoring.implementation: expected 'auto' with negatives.memory and {objective}, as moments "
                "of remembered labels have no scores, got 'dense'"
            )
        if negatives.memory.sample is not None:
            raise ConfigError(
                f"negatives.memory.sample: expected null with {objective}, whose cost does not grow with the "
                f"labels remembered, got {negatives.memory.sample}"
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
