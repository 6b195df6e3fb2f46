"""How fast a run goes, and how long it will still take, validations included."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

__all__ = ["Pace"]

RECENT = 50


@dataclass
class Pace:
    """Times of the steps and validations done so far by this process, in seconds."""

    step_seconds: float = 0.0
    rows: int = 0
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    validation_seconds: float = 0.0

    @contextmanager
    def timed_step(self, rows: int) -> Iterator[None]:
        """Around a step of ``rows`` training rows."""
        started = time.perf_counter()
        yield
        self.add_step(time.perf_counter() - started, rows)

    @contextmanager
    def timed_validation(self) -> Iterator[None]:
        """Around a validation."""
        started = time.perf_counter()
        yield
        self.validation_seconds = time.perf_counter() - started

    def add_step(self, seconds: float, rows: int) -> None:
        """Count a step of ``rows`` training rows."""
        self.step_seconds += seconds
        self.rows += rows
        self.recent.append(seconds)

    @property
    def rows_per_second(self) -> float:
        """Training rows over the time of the steps alone."""
        return self.rows / max(self.step_seconds, 1e-9)

    def remaining(self, steps: int, validations: int) -> float:
        """Seconds left: the median of recent steps for each step, the last validation for each validation."""
        return median(self.recent) * steps + self.validation_seconds * validations if self.recent else 0.0
