"""What a run says on the terminal while it goes: a bar, the time left, each validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tqdm.auto import tqdm

from xmc.durations import duration
from xmc.training.callbacks.callback import Callback
from xmc.training.callbacks.run_state import RunState
from xmc.training.step import StepResult

__all__ = ["Progress"]

STEPS_BEFORE_ETA = 10
SHOWN = ("P@1", "P@5", "nDCG@5", "PSP@5", "R@100")


class Progress(Callback):
    """Shows the main rank's progress; the others are silent."""

    _bar: tqdm[Any] | None = None

    def before_step(self, run: RunState) -> None:
        """Show the bar, which appears with the first step."""
        if self._bar is None:
            hidden = not run.world.is_main
            self._bar = tqdm(
                total=run.num_steps, initial=run.step, desc="training", unit="step", disable=hidden
            )

    def after_step(self, run: RunState, result: StepResult) -> None:
        """Move the bar, put the loss beside it, and say once how long it will take yet."""
        if self._bar is not None:
            self._bar.update()
            if run.step % run.config.run.log_every == 0 or run.step == run.num_steps:
                self._bar.set_postfix(loss=f"{float(result.loss):.4f}")
        if run.step - run.first == STEPS_BEFORE_ETA and run.world.is_main:
            tqdm.write(f"about {_left(run)} left, validations included")

    def after_validation(self, run: RunState, metrics: Mapping[str, float]) -> None:
        """Say what it found, in percent."""
        if run.world.is_main:
            shown = "  ".join(f"{name} {metrics[name]:.2f}" for name in SHOWN)
            left = f"  about {_left(run)} left" if 0 < run.step < run.num_steps else ""
            tqdm.write(f"step {run.step}: validation {shown}{left}")

    def on_end(self, run: RunState, error: BaseException | None) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()


def _left(run: RunState) -> str:
    validations = run.config.validation.num_due(run.step, run.num_steps)
    return duration(run.pace.remaining(run.num_steps - run.step, validations))
