"""The rules' choices beside options that are fixed: what may not fit those is left to who fixed them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xmc.plugins import is_reference
from xmc.tuning.choice import Choice
from xmc.tuning.facts import DataFacts
from xmc.tuning.rules import choose
from xmc.tuning.trial import LABEL_QUERIES

__all__ = ["rules_beside", "set_apart"]

OTHER_LOSS = ("objective.name", "head.kind", "encoder.normalize", "distillation.hard_weight")
"""What a virtual negative may not fit."""

OTHER_QUERIES = (
    *("data.label_queries", "distillation.", "head.kind", "objective.terms"),
    *("negatives.mined", "negatives.clusters", "negatives.positives"),
)
"""How options begin that labels as queries may not fit."""


def rules_beside(fixed: Mapping[str, Any], facts: DataFacts, *, accelerator: bool) -> list[Choice]:
    """What :func:`.rules.choose` says, without what is fixed and what may not go with that.

    Args:
        fixed: Options by dotted name.
        facts: Of the training part.
        accelerator: As for :func:`.rules.choose`.
    """
    apart = set_apart(fixed, facts)
    return [choice for choice in choose(facts, accelerator=accelerator) if choice.option not in apart]


def set_apart(fixed: Mapping[str, Any], facts: DataFacts) -> set[str]:
    """Options that neither rules nor a search may change: those that are fixed, and what may not fit them.

    Args:
        fixed: Options by dotted name.
        facts: Of the training part.
    """
    apart = set(fixed)
    if apart.intersection(OTHER_LOSS):
        apart.add("objective.virtual_negative")
    if (
        any(option.startswith(OTHER_QUERIES) for option in fixed)
        # A loss of the user's own may not know rows of two kinds.
        or is_reference(str(fixed.get("objective.name", "")))
        or fixed.get("encoder.kind") == "transformer"
        or facts.num_labels < 4 * fixed.get("training.batch_size", 0)
    ):
        apart.update(f"data.{name}" for name in LABEL_QUERIES)
    return apart
