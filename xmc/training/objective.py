"""From the section ``objective`` of a recipe to the loss that a step minimises."""

from __future__ import annotations

from xmc.objectives.build import build_objective
from xmc.objectives.objective import Loss
from xmc.objectives.terms import Term, WeightedTerms
from xmc.training.config import ObjectiveConfig

__all__ = ["configured_objective"]


def configured_objective(config: ObjectiveConfig) -> Loss:
    """The objective with its own options bound, and the further terms added to it.

    Raises:
        ConfigError: When there is no such objective, or it has no such option; the text names the nearest.
    """
    main = build_objective(config.name, config.options)
    if not config.terms:
        return main
    further = (Term(build_objective(term.name, term.options), term.weight) for term in config.terms)
    return WeightedTerms((Term(main), *further))
