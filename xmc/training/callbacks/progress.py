"""What a run says on the terminal while it goes: a bar, the time left, each validation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from tqdm.auto import tqdm

from xmc.durations import duration
from xmc.progress import Bar
from xmc.training.batches.label_queries import StepWorks
from xmc.training.callbacks.callback import Callback
from xmc.training.callbacks.run_state import RunState
from xmc.training.step import StepResult

__all__ = ["Progress"]

STEPS_BEFORE_ETA = 20
STEPS_BETWEEN_ETAS = 50
SHOWN = ("P@1", "P@5", "nDCG@5", "PSP@5", "R@100")


class Progress(Callback):
    """Shows the main rank's progress; the others are silent."""

    _bar: Bar | None = None
    _said: tuple[float, float] | None = None
    """When the run was said to end, from and to, in seconds of this process's steps."""

    def before_step(self, run: RunState) -> None:
        """Show the bar, which appears with the first step."""
        if self._bar is None:
            shown = run.world.is_main
            self._bar = Bar(run.num_steps, "training", "step", initial=run.step, shown=shown)

    def after_step(self, run: RunState, result: StepResult) -> None:
        """Move the bar, put the loss beside it, and say how long it will take yet."""
        if self._bar is not None:
            # Steps with labels as queries take longer than those after them: the bar alone would not know.
            self._bar.left = partial(_most_left, run)
            if run.step % run.config.run.log_every == 0 or run.step == run.num_steps:
                self._bar.note = f"loss {float(result.loss):.4f}"
            self._bar.update()
        taken = run.step - run.first
        if taken >= STEPS_BEFORE_ETA and (taken - STEPS_BEFORE_ETA) % STEPS_BETWEEN_ETAS == 0:
            self._say_time_left(run)

    def after_validation(self, run: RunState, metrics: Mapping[str, float]) -> None:
        """Say what it found, in percent."""
        if run.world.is_main:
            shown = "  ".join(f"{name} {metrics[name]:.2f}" for name in SHOWN)
            prefixes = [name.partition("/")[0] for name in metrics if name.endswith("/nDCG@5")]
            shown += "".join(f"  {prefix}/nDCG@5 {metrics[f'{prefix}/nDCG@5']:.2f}" for prefix in prefixes)
            left = _left(run) if 0 < run.step < run.num_steps else None
            tqdm.write(f"step {run.step}: validation {shown}" + (f"  {_range(*left)} left" if left else ""))

    def on_end(self, run: RunState, error: BaseException | None) -> None:
        """Take the bar away and, after the last step, leave a line."""
        if self._bar is not None:
            self._bar.__exit__(None if error is None else type(error), error, None)

    def _say_time_left(self, run: RunState) -> None:
        """Once, and again whenever what was said has turned out wrong."""
        left, now = _left(run), run.pace.step_seconds
        if left is None or not run.world.is_main or run.step == run.num_steps:
            return
        low, high = left[0] + now, left[1] + now
        if self._said is not None and low <= self._said[1] and high >= self._said[0]:
            return
        corrected = "" if self._said is None else "corrected: "
        self._said = (low, high)
        tqdm.write(f"{corrected}{_range(*left)} left, validations included")


def _left(run: RunState) -> tuple[float, float] | None:
    validations = run.config.validation.num_due(run.step, run.num_steps)
    works = StepWorks(run.config.data, run.num_steps)
    return run.pace.remaining(works.after(run.step), validations)


def _most_left(run: RunState) -> float | None:
    left = _left(run)
    return None if left is None else left[1]


def _range(low: float, high: float) -> str:
    """``about 1 min 20 s``, or ``1 min to 1 min 40 s`` where the two read differently."""
    shortest, longest = duration(low), duration(high)
    return f"about {longest}" if shortest == longest else f"{shortest} to {longest}"
