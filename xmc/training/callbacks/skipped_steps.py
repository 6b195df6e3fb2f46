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

    def after_step(self, run: RunState, result: StepResult) -> None:
        """See :class:`.callback.Callback`.

        Raises:
            NonFiniteError: With the step, its queries, and the largest gradient of the steps before.
        """
        if result.skipped is None:
            self.in_a_row = 0
            self.largest_norm = max(self.largest_norm, result.gradient_norm or 0.0)
            return
        self.total, self.in_a_row = self.total + 1, self.in_a_row + 1
        run.log.write(run.step, {"skipped": result.skipped})
        if run.world.is_main:
            tqdm.write(f"step {run.step} skipped ({self.total} so far): {result.skipped}")
        if self.in_a_row >= self.most:
            first = ", ".join(map(str, result.queries[:SHOWN_QUERIES].tolist()))
            raise NonFiniteError(
                f"training: expected fewer than {self.most} steps in a row without a finite loss and "
                f"gradient (training.max_skipped), got them up to step {run.step} with the queries {first}, "
                f"... of {len(result.queries)}; the largest gradient before had the norm "
                f"{self.largest_norm:.3g}; {result.skipped}"
            )

    def state_dict(self) -> dict[str, Any]:
        """See :class:`.callback.Callback`."""
        return {"total": self.total, "in_a_row": self.in_a_row, "largest_norm": self.largest_norm}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`.callback.Callback`."""
        self.total, self.in_a_row = state["total"], state["in_a_row"]
        self.largest_norm = state["largest_norm"]
