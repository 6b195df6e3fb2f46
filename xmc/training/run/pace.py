"""How fast a run goes, and how long it will still take, validations included."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import quantiles

__all__ = ["WARM_UP", "Pace"]

RECENT = 50
WARM_UP = 5  # the first steps of a process fill caches and pages, and take several times as long


@dataclass
class Pace:
    """Times of the steps and validations done so far by this process, in seconds."""

    step_seconds: float = 0.0
    rows: int = 0
    steps: int = 0
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    validation_seconds: float = 0.0

    @contextmanager
    def timed_step(self, rows: int, work: float = 1.0) -> Iterator[None]:
        """Around a step of ``rows`` training rows that takes ``work`` times what one of those alone takes."""
        started = time.perf_counter()
        yield
        self.add_step(time.perf_counter() - started, rows, work)

    @contextmanager
    def timed_validation(self) -> Iterator[None]:
        """Around a validation."""
        started = time.perf_counter()
        yield
        self.validation_seconds = time.perf_counter() - started

    def add_step(self, seconds: float, rows: int, work: float = 1.0) -> None:
        """Count a step; see :meth:`timed_step`."""
        self.step_seconds += seconds
        self.rows += rows
        self.steps += 1
        if self.steps > WARM_UP:
            self.recent.append(seconds / work)

    @property
    def rows_per_second(self) -> float:
        """Training rows over the time of the steps alone."""
        return self.rows / max(self.step_seconds, 1e-9)

    def remaining(self, steps: float, validations: int) -> tuple[float, float] | None:
        """Seconds left for so many steps of training rows alone, from and to; None before there were any.

        The quartiles of recent steps for each step, the last validation for each validation.
        """
        if len(self.recent) < 2:
            return None
        low, _, high = quantiles(self.recent, n=4, method="inclusive")
        of_validations = self.validation_seconds * validations
        return low * steps + of_validations, high * steps + of_validations
