"""Ends a training that a stage of ``benchmarks/gpu.py`` has no more time for."""

from __future__ import annotations

import time

from xmc.training import Callback
from xmc.training.callbacks.run_state import RunState
from xmc.training.step import StepResult

__all__ = ["StopAfter"]


class StopAfter(Callback):
    """Asks to stop after the first step that ends ``seconds`` or more after the run's start."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._started = 0.0

    def on_start(self, run: RunState) -> None:
        """Before the first validation and the first step."""
        self._started = time.monotonic()

    def after_step(self, run: RunState, result: StepResult) -> None:
        """Ask where time is over."""
        if time.monotonic() - self._started >= self.seconds:
            run.stop(f"{self.seconds:g} s were over")
