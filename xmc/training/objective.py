"""From the section ``objective`` of a recipe to the loss that a step minimises."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, cast

from xmc.encoders import DualEncoder, EncoderConfig
from xmc.encoders.module_kinds import is_normalize
from xmc.encoders.prefixes import check_dimensions
from xmc.errors import ConfigError
from xmc.objectives.build import build_objective
from xmc.objectives.margins.margin import with_margin
from xmc.objectives.matryoshka import with_dimensions
from xmc.objectives.objective import Loss
from xmc.objectives.plain import is_plain_loss, plain_objective
from xmc.objectives.terms import Term, WeightedTerms
from xmc.objectives.virtual_negative import with_virtual_negative
from xmc.training.config import ObjectiveConfig
from xmc.training.parts import load_part, was_given

__all__ = ["check_cosines", "configured_objective", "given_objective", "over_dimensions"]


def configured_objective(config: ObjectiveConfig, given: Loss | None = None, *, seed: int = 0) -> Loss:
    """The objective with its own options bound, and the further terms added to it.

    Args:
        config: What the recipe says.
        given: The main objective, in place of the one that the recipe names.
        seed: Of the run, for margins that are drawn.

    Raises:
        ConfigError: When there is no such objective, or it has no such option; the text names the nearest.
    """
    if given is None and was_given(config.name):
        load_part("objective.name", config.name)
    main = with_margin(given or build_objective(config.name, config.options), config.margin, seed)
    main = with_virtual_negative(main, config.virtual_negative)
    if not config.terms:
        return main
    further = (Term(build_objective(term.name, term.options), term.weight) for term in config.terms)
    return WeightedTerms((Term(main), *further))


def check_cosines(config: ObjectiveConfig, encoder: DualEncoder) -> None:
    """Refuse a margin on products that are no cosines, as of an encoder of the user's own.

    Raises:
        ConfigError: Where a tower does not end in a normalisation.
    """
    if config.margin.kind != "none" and not all(is_normalize(tower.modules[-1]) for tower in encoder.towers):
        raise ConfigError(
            "objective.margin: expected embeddings of length 1, whose products are cosines, got an encoder "
            "that does not end in a normalisation (sentence-transformers' Normalize)"
        )


def over_dimensions(loss: Loss, config: EncoderConfig, encoder: DualEncoder) -> Loss:
    """The loss on the prefixes that ``config`` lists, or as it is.

    Raises:
        ConfigError: When the encoder's vectors have not those components, or more than are listed.
    """
    check_dimensions(config.dimensions, encoder.dimension)
    normalised = encoder.normalised if config.dimensions else (True, True)
    return with_dimensions(loss, config.dimensions, config.dimension_weights, normalised=normalised)


def given_objective(objective: object) -> Loss:
    """What a script handed over, as a loss of training: an objective, or a plain function.

    Raises:
        ConfigError: When it is neither.
    """
    if is_plain_loss(objective):
        function = cast(Callable[..., Any], objective)
        return plain_objective(getattr(function, "__name__", type(function).__name__), function)
    if inspect.isclass(objective) or not (callable(objective) and hasattr(objective, "facts")):
        raise ConfigError(
            "expected an objective (xmc.objectives.build_objective makes one) or a function of queries, "
            f"labels and positives, got {objective!r}"
        )
    return cast(Loss, objective)
