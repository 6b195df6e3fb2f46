"""The rules' choices beside options that are fixed: what may not fit those is left to who fixed them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xmc.tuning.choice import Choice
from xmc.tuning.facts import DataFacts
from xmc.tuning.rules import choose
from xmc.tuning.trial import LABEL_QUERIES

__all__ = ["rules_beside"]

OTHER_LOSS = ("objective.name", "head.kind", "encoder.normalize", "distillation.hard_weight")
"""What a virtual negative may not fit."""

OTHER_QUERIES = (
    *("data.label_quer", "data.co_labels", "distillation.", "head.kind"),
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
    apart = set(fixed)
    if apart.intersection(OTHER_LOSS):
        apart.add("objective.virtual_negative")
    too_few = facts.num_labels < 4 * fixed.get("training.batch_size", 0)
    if too_few or any(option.startswith(OTHER_QUERIES) for option in fixed):
        apart.update(f"data.{name}" for name in LABEL_QUERIES)
    return [choice for choice in choose(facts, accelerator=accelerator) if choice.option not in apart]
