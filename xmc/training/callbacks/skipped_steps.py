"""Counts steps that were skipped as their loss or gradient is not finite, and ends a run of too many."""

from __future__ import annotations

from typing import Any

from tqdm.auto import tqdm

from xmc.errors import NonFiniteError
from xmc.training.callbacks.callback import Callback
from xmc.training.callbacks.run_state import RunState
from xmc.training.step import StepResult

__all__ = ["SkippedSteps"]

SHOWN_QUERIES = 5


class SkippedSteps(Callback):
    """A single one is told of and counted; ``most`` in a row are an error, on every rank alike."""

    def __init__(self, most: int) -> None:
        """Allow fewer than ``most`` in a row."""
        self.most, self.total, self.in_a_row = most, 0, 0
        self.largest_norm = 0.0
        self._waiting: list[tuple[int, StepResult]] = []

    def after_step(self, run: RunState, result: StepResult) -> None:
        """See :class:`.callback.Callback`; a GPU's step is looked at when the next one is launched.

        Raises:
            NonFiniteError: With the step, its queries, and the largest gradient of the steps before.
        """
        self._waiting.append((run.step, result))
        last = run.step == run.num_steps
        while self._waiting and (last or len(self._waiting) > 1 or self._waiting[0][1].is_known):
            self._look(run, *self._waiting.pop(0))

    def on_end(self, run: RunState, error: BaseException | None) -> None:
        """See :class:`.callback.Callback`; counts the step that a run which was ended early took last."""
        for _, result in self._waiting:
            self._count(result)
        self._waiting.clear()

    def _look(self, run: RunState, step: int, result: StepResult) -> None:
        self._count(result)
        if result.skipped is None:
            return
        run.log.write(step, {"skipped": result.skipped})
        if run.world.is_main:
            tqdm.write(f"step {step} skipped ({self.total} so far): {result.skipped}")
        if self.in_a_row >= self.most:
            first = ", ".join(map(str, result.queries[:SHOWN_QUERIES].tolist()))
            raise NonFiniteError(
                f"training: expected fewer than {self.most} steps in a row without a finite loss and "
                f"gradient (training.max_skipped), got them up to step {step} with the queries {first}, "
                f"... of {len(result.queries)}; the largest gradient before had the norm "
                f"{self.largest_norm:.3g}; {result.skipped}"
            )

    def _count(self, result: StepResult) -> None:
        if result.skipped is None:
            self.in_a_row = 0
            self.largest_norm = max(self.largest_norm, result.gradient_norm or 0.0)
        else:
            self.total, self.in_a_row = self.total + 1, self.in_a_row + 1

    def state_dict(self) -> dict[str, Any]:
        """See :class:`.callback.Callback`; a step that waits to be looked at is counted in it."""
        counted = SkippedSteps(self.most)
        counted.total, counted.in_a_row, counted.largest_norm = self.total, self.in_a_row, self.largest_norm
        for _, result in self._waiting:
            counted._count(result)
        names = "total", "in_a_row", "largest_norm"
        return {name: getattr(counted, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`.callback.Callback`."""
        self.total, self.in_a_row = state["total"], state["in_a_row"]
        self.largest_norm = state["largest_norm"]
