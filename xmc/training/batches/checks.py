"""Which objectives go with which label sources. Imports no torch."""

from __future__ import annotations

from xmc.errors import ConfigError
from xmc.objectives.catalogue import CATALOGUE, ObjectiveFacts
from xmc.training.batches.config import NegativesConfig

__all__ = ["check_sources"]


def check_sources(
    negatives: NegativesConfig,
    objective: ObjectiveFacts,
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
    if negatives.memory.enabled and not (objective.takes_frozen or objective.takes_moments):
        raise ConfigError(
            f"negatives.memory: expected objective.name to be one of {_that('takes_frozen')}, whose "
            f"partition function can be joined from memory, or of {_that('takes_moments')}, whose moments "
            f"can, got {objective.name}"
        )
    if negatives.memory.enabled and objective.takes_moments:
        if label_offsets:
            raise ConfigError(
                f"negatives.memory: expected objective.label_offsets false with {objective.name}, as the "
                "moments of remembered labels hold no offsets"
            )
        if implementation == "dense":
            raise ConfigError(
                f"scoring.implementation: expected 'auto' with negatives.memory and {objective.name}, as "
                "moments of remembered labels have no scores, got 'dense'"
            )
        if negatives.memory.sample is not None:
            raise ConfigError(
                f"negatives.memory.sample: expected null with {objective.name}, whose cost does not grow "
                f"with the labels remembered, got {negatives.memory.sample}"
            )
    listed = negatives.mined.count > 0 or negatives.clusters.largest > 1
    if listed and negatives.corrected and not objective.takes_certain:
        raise ConfigError(
            "negatives.mined and negatives.clusters: expected objective.name to be one of "
            f"{_that('takes_certain')}, got {objective.name}, which cannot weigh a label by row; use one of "
            "those, or negatives.corrected false"
        )
    if negatives.positives is not None and not objective.takes_sampled_positives:
        raise ConfigError(
            f"negatives.positives: expected null with {objective.name}, got {negatives.positives}: its terms "
            "hold a positive against the row's others too, or its prior counts them, so that some do not "
            f"stand for all; use one of {_that('takes_sampled_positives')}, the latter with "
            "objective.options.bias"
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


def _that(takes: str) -> str:
    return ", ".join(name for name, facts in CATALOGUE.items() if getattr(facts, takes))
