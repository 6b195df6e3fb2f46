"""A loss of several terms: a weighted sum, in which terms on one statistic share its pass over the labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from xmc.errors import ConfigError
from xmc.objectives.catalogue import ObjectiveFacts
from xmc.objectives.objective import (
    Loss,
    Objective,
    PositiveScores,
    Reduction,
    reduce_rows,
    refuse_non_finite,
)
from xmc.scoring import ScoreInputs

__all__ = ["Term", "WeightedTerms", "parts_of"]


@dataclass(frozen=True)
class Term:
    """One loss of a sum, and what it is multiplied by."""

    loss: Loss
    weight: float = 1.0


@dataclass(frozen=True)
class WeightedTerms:
    """``sum_t weight_t loss_t``; see :class:`xmc.objectives.objective.Loss`.

    The first term is the main one: labels are ranked as it ranks them, and the scale starts as its own does.
    """

    terms: tuple[Term, ...]

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, a sum of nothing."""
        if not self.terms:
            raise ConfigError("expected at least one term, got none")

    @cached_property
    def facts(self) -> ObjectiveFacts:
        """The first term's; what the whole takes is what every term takes."""
        facts = [term.loss.facts for term in self.terms]
        return replace(
            facts[0],
            name=" + ".join(fact.name for fact in facts),
            takes_certain=all(fact.takes_certain for fact in facts),
            takes_frozen=all(fact.takes_frozen for fact in facts),
            takes_moments=all(fact.takes_moments for fact in facts),
            takes_sampled_positives=all(fact.takes_sampled_positives for fact in facts),
            scale_learning_rate=max(fact.scale_learning_rate for fact in facts),
        )

    def __call__(self, inputs: ScoreInputs, reduction: Reduction = "mean") -> Tensor:
        """See :class:`xmc.objectives.objective.Loss`."""
        total = inputs.queries.new_zeros((), dtype=torch.promote_types(inputs.queries.dtype, torch.float32))
        known: list[tuple[object, tuple[PositiveScores, Any]]] = []
        for term in self.terms:
            if isinstance(term.loss, Objective):
                loss = _with_known(term.loss, inputs, reduction, known)
            else:
                loss = term.loss(inputs, reduction)
            total = total + term.weight * loss
        refuse_non_finite(total, inputs, self.facts.name)
        return total


def parts_of(loss: Loss) -> Iterator[Loss]:
    """The losses that a loss is the sum of, sums among them taken apart; itself where it is none."""
    if isinstance(loss, WeightedTerms):
        for term in loss.terms:
            yield from parts_of(term.loss)
    else:
        yield loss


def _with_known(
    objective: Objective[Any],
    inputs: ScoreInputs,
    reduction: Reduction,
    known: list[tuple[object, tuple[PositiveScores, Any]]],
) -> Tensor:
    """The objective's loss from its statistic, which is computed once for all that have the same."""
    with torch.autocast(inputs.queries.device.type, enabled=False):
        # Compared by ==, as each term's builder may make its statistic anew.
        found = next((value for statistic, value in known if statistic == objective.statistic), None)
        if found is None:
            found = objective.statistic(inputs)
            known.append((objective.statistic, found))
        loss = reduce_rows(objective.rows(*found), reduction, inputs.row_weights)
    return loss.to(torch.promote_types(inputs.queries.dtype, torch.float32))
