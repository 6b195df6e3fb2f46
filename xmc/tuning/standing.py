"""What is believed of a change of a recipe, by what it came to on held-out rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

__all__ = ["LEAST_GAIN", "Standing", "fold_error", "standing_of"]

LEAST_GAIN = 0.2
"""Points by which a change must beat the rules' recipe to replace it, at the least: less is not worth it."""

ROW = 25.0
"""Points by which a change moves the metric of one row, about."""

LOSS, SPREAD = 1.0, 2.0
"""Points that a change of the rules' recipe is expected to cost before it is tried, give or take so many."""


@dataclass(frozen=True)
class Standing:
    """A candidate and what it came to on the folds that it and the rules' recipe were measured on.

    Attributes:
        changes: Of the rules' recipe.
        value: The mean over the folds.
        folds: How many.
        gain: Points over the rules' recipe on the same folds: which rows are held out matters more to the
            value than most changes do.
        error: The standard error of the gain.
    """

    changes: dict[str, Any]
    value: float
    folds: int
    gain: float
    error: float

    @property
    def believed(self) -> float:
        """The gain, drawn towards what changes are expected to do, the more the less is known of it.

        The mean of the gain given what was measured, where both are normal.
        """
        return (self.gain * SPREAD**2 - LOSS * self.error**2) / (SPREAD**2 + self.error**2)

    @property
    def beats_the_rules(self) -> bool:
        """Whether it is to replace the rules' recipe."""
        return self.gain >= LEAST_GAIN and self.believed > 0


def fold_error(held_out: int) -> float:
    """The error of a gain on one fold of so many held-out rows, in points, before there are others to ask."""
    return ROW / sqrt(max(1, held_out))


def standing_of(
    changes: Mapping[str, Any],
    values: Mapping[int, float],
    rules: Mapping[int, float],
    held_out: int,
    rows: int,
) -> Standing | None:
    """What a candidate came to; None where it shares no fold with the rules' recipe.

    Args:
        changes: Of the rules' recipe.
        values: Its metric by fold, in percent.
        rules: That of the rules' recipe.
        held_out: Rows of a fold.
        rows: Training rows of the data set.
    """
    shared = sorted(values.keys() & rules.keys())
    if not shared:
        return None
    count = len(shared)
    gains = [values[fold] - rules[fold] for fold in shared]
    gain = sum(gains) / count
    # What is expected of a fold counts as one more of them: two or three may agree by chance.
    square = (sum((one - gain) ** 2 for one in gains) + fold_error(held_out) ** 2) / count
    # Folds are drawn one by one and share rows that are learned, so that ten of them say less than ten times
    # as much as one: Nadeau and Bengio 2003, "Inference for the Generalization Error", section 4.
    error = sqrt(square * (1 / count + held_out / max(1, rows - held_out)))
    value = sum(values[fold] for fold in shared) / count
    return Standing(dict(changes), value, count, gain, error if changes else 0.0)
