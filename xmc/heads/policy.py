"""When a head is stabilised, and what is noted of it.

What runs over all L rows is spaced in proportion to L, so that its share of a step does not grow with L.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch

from xmc.errors import ConfigError
from xmc.heads.stabilise import (
    inverse_drift,
    moment_drift,
    rebalance,
    refresh_inverse,
    refresh_moments,
    unfactor,
)
from xmc.heads.state import FactoredState

__all__ = ["Due", "StabilityPolicy", "StabilityRecord", "stabilise"]

MOST_REBALANCED = 1 / 3  # of all singular values: beyond it, multiplying the table out costs no more


@dataclass(frozen=True)
class Due:
    """What is to be done after a step."""

    check: bool
    probe: bool
    unfactor: bool

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return self.check or self.probe or self.unfactor


@dataclass(frozen=True)
class StabilityPolicy:
    """What is checked how often, and what is done about it.

    Attributes:
        check_every: Steps between looks at U: its condition and its inverse, O(D^3).
        look_at: A cheap bound that each step has (:attr:`xmc.heads.FactoredState.condition`); above this U is
            looked at right away.
        largest_condition: With a singular value of U above it or below one over it, or with the bound above
            ``look_at``, those outside ``[1 / span, span]`` are set to 1.
        span: See ``largest_condition``.
        probe_every: Steps between comparisons of the moments with the table's along four directions, O(L D);
            max(100, L / 500) when None.
        largest_drift: Above this the moments are computed anew, L D^2.
        unfactor_every: Steps after which the table is multiplied out in any case, L D^2; max(1000, L / 100)
            when None.
        enabled: False leaves the head alone; the guard of each step remains.
    """

    check_every: int = 100
    look_at: float = 4.0
    largest_condition: float = 16.0
    span: float = 2.0
    probe_every: int | None = None
    largest_drift: float = 1e-5
    unfactor_every: int | None = None
    enabled: bool = True

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, periods below one step."""
        for name in ("check_every", "probe_every", "unfactor_every"):
            steps = getattr(self, name)
            if steps is not None and steps < 1:
                raise ConfigError(f"expected {name} of at least 1 step, got {steps}")
        if not (self.span > 1 and self.largest_condition >= self.span and self.largest_drift > 0):
            raise ConfigError(
                "expected a span above 1, a largest_condition of at least the span and a largest_drift above "
                f"0, got {self.span}, {self.largest_condition} and {self.largest_drift}"
            )

    def periods(self, num_labels: int) -> tuple[int, int]:
        """``probe_every`` and ``unfactor_every`` for L labels."""
        probe = self.probe_every or max(100, num_labels // 500)
        return probe, self.unfactor_every or max(1000, num_labels // 100)

    def due(self, step: int, since: int, num_labels: int, condition: float) -> Due:
        """What is due after ``step`` steps in all and ``since`` steps after U was last 1."""
        if not self.enabled:
            return Due(False, False, False)
        probe, fold = self.periods(num_labels)
        # The bound may be up to D times below the condition number, so U is looked at every so often anyway.
        check = condition > self.look_at or step % self.check_every == 0
        return Due(check, step % probe == 0, since >= fold)


@dataclass(frozen=True)
class StabilityRecord:
    """What was found, and what was done about it.

    Attributes:
        step: Steps taken so far.
        condition: Of U, largest over smallest singular value, before anything was done.
        inverse_drift: The largest number in ``|U U^-1 - 1|`` before.
        moment_drift: Of mean and scatter (:func:`xmc.heads.stabilise.moment_drift`); None when not looked at.
        rebalanced: Singular values that were set to 1.
        unfactored: Whether the table was multiplied out.
        refreshed: Whether the moments were computed anew.
    """

    step: int
    condition: float
    inverse_drift: float
    moment_drift: float | None = None
    rebalanced: int = 0
    unfactored: bool = False
    refreshed: bool = False

    def as_dict(self) -> dict[str, object]:
        """For a line of JSON."""
        return asdict(self)


def stabilise(
    state: FactoredState, policy: StabilityPolicy, due: Due, step: int
) -> tuple[FactoredState, StabilityRecord]:
    """Do what is due; the table stays the same up to rounding."""
    # Both ends of the spectrum, as U can be too large or too small as a whole at a condition of 1.
    values = torch.linalg.svdvals(state.mix)
    condition, drift = float(values[0] / values[-1]), inverse_drift(state)
    outside = int(((values < 1 / policy.span) | (values > policy.span)).sum())
    rebalanced, fold = 0, due.unfactor
    extreme = max(float(values[0]), 1 / max(float(values[-1]), 1e-300))
    if extreme > policy.largest_condition or state.condition > policy.look_at:
        # 2 L D r for r directions against L D^2 for the whole table, and thin products are the slower ones.
        fold = fold or outside > MOST_REBALANCED * len(values)
        if not fold:
            state, rebalanced = rebalance(state, policy.span)
    if fold:
        state = unfactor(state)
    elif not rebalanced:
        # Each narrow step adds its rounding to the inverse; the other two repairs have computed it anew.
        state = refresh_inverse(state)
    # Other directions at every step, so that no error can stay hidden from all of them.
    found = moment_drift(state, step=step) if due.probe or fold else None
    # Not written as found > largest_drift, so that NaN is refreshed too.
    refreshed = found is not None and not found <= policy.largest_drift
    if refreshed:
        state = refresh_moments(state)
    return state, StabilityRecord(step, condition, drift, found, rebalanced, fold, refreshed)
