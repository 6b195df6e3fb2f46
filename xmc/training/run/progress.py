"""What a run says on the terminal while it goes: a bar, the time left, each validation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from tqdm.auto import tqdm

from xmc.durations import duration
from xmc.training.run.config import ValidationConfig
from xmc.training.run.pace import Pace

__all__ = ["Progress"]

STEPS_BEFORE_ETA = 10
SHOWN = ("P@1", "P@5", "nDCG@5", "PSP@5", "R@100")


class Progress:
    """Times steps and validations, and tells of them; silent, but for the times, where ``hidden``.

    The bar is there within a ``with`` block, around the steps.

    Attributes:
        pace: The times so far.
    """

    def __init__(self, num_steps: int, first: int, validation: ValidationConfig, *, hidden: bool) -> None:
        """Prepare to tell of the steps after ``first`` of ``num_steps``."""
        self.num_steps, self.first, self.validation, self.hidden = num_steps, first, validation, hidden
        self.pace = Pace()

    def __enter__(self) -> Progress:
        """Show the bar."""
        self._bar: tqdm[Any] = tqdm(
            total=self.num_steps, initial=self.first, desc="training", unit="step", disable=self.hidden
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self._bar.close()

    @contextmanager
    def step(self, queries: int) -> Iterator[None]:
        """Around a step on that many queries."""
        started = time.perf_counter()
        yield
        self.pace.add_step(time.perf_counter() - started, queries)
        self._bar.update()

    def show_loss(self, loss: float) -> None:
        """Put the loss beside the bar."""
        self._bar.set_postfix(loss=f"{loss:.4f}")

    def show_time_left(self, step: int) -> None:
        """Say how long it will take yet, once: when enough steps were timed."""
        if step - self.first == STEPS_BEFORE_ETA and not self.hidden:
            tqdm.write(f"about {self._left(step)} left, validations included")

    @contextmanager
    def validating(self) -> Iterator[None]:
        """Around a validation."""
        started = time.perf_counter()
        yield
        self.pace.validation_seconds = time.perf_counter() - started

    def show_validation(self, step: int, metrics: dict[str, float]) -> None:
        """Say what a validation found, in percent."""
        if not self.hidden:
            shown = "  ".join(f"{name} {metrics[name]:.2f}" for name in SHOWN)
            left = f"  about {self._left(step)} left" if 0 < step < self.num_steps else ""
            tqdm.write(f"step {step}: validation {shown}{left}")

    def _left(self, step: int) -> str:
        validations = self.validation.num_due(step, self.num_steps)
        return duration(self.pace.remaining(self.num_steps - step, validations))
