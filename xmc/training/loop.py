"""The loop: steps and validations until the last step, a stop that ranks agree on, or an interrupt."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from accelerate.utils import gather_object
from tqdm.auto import tqdm

from xmc.distributed import answering
from xmc.training.batches.label_queries import StepWorks
from xmc.training.callbacks.callbacks import Callbacks
from xmc.training.callbacks.run_state import RunState
from xmc.training.learned.frozen_encoder import FrozenEncoder
from xmc.training.learned.learner import Learner
from xmc.training.run.checkpoint import Checkpointer
from xmc.training.run.interrupt import Interrupted, InterruptGuard, Verdict
from xmc.training.step import StepInputs, optimise

__all__ = ["GO_ON", "Loop"]

GO_ON = "go on with --run.resume true"
"""What a run that was interrupted says to do."""


@dataclass
class Loop:
    """Takes the steps of a run; every rank takes the same.

    Attributes:
        inputs: What each step needs.
        run: Moved on by each step.
        callbacks: Told of everything.
        validate: Metrics in percent of the model as it is.
        checkpointer: Asked between steps, and when interrupted.
        guard: What ranks agree by.
        go_on: What an interrupt says to do; "" where the caller says it.
    """

    inputs: StepInputs
    run: RunState
    callbacks: Callbacks
    validate: Callable[[Learner, FrozenEncoder], dict[str, float]]
    checkpointer: Checkpointer
    guard: InterruptGuard
    go_on: str = GO_ON
    _saved: float = field(default_factory=lambda: time.monotonic())

    def __call__(self) -> str | None:
        """Train from ``run.step`` on.

        Returns:
            Why the run ended before its last step, or None.

        Raises:
            Interrupted: When any rank was sent SIGINT or SIGTERM; a checkpoint is written.
        """
        run, validation = self.run, self.run.config.validation
        rows = self.inputs.batches.sampler.batch_size * run.config.training.accumulation
        works = StepWorks(run.config.data, run.num_steps)
        run.encoder.train()
        validated = run.step
        if validation.rows and run.step == 0:
            self._validate()
        while not self._ends():
            self.callbacks.before_step(run)
            with run.pace.timed_step(rows, works.of(run.step)), answering(f"step {run.step + 1}"):
                result = optimise(self.inputs, run.step)
            run.step += 1
            self.callbacks.after_step(run, result)
            if validation.due(run.step, run.num_steps):
                self._validate()
                validated = run.step
        stopped = self._reason()
        if validation.rows and run.step > validated:
            self._validate()  # the step that became the last one
        return stopped

    def _validate(self) -> None:
        with self.run.pace.timed_validation(), answering(f"the validation after step {self.run.step}"):
            metrics = self.validate(self.run.learner, self.inputs.frozen)
        self.callbacks.after_validation(self.run, metrics)

    def _ends(self) -> bool:
        """Whether no further step is taken; between two of them, the place to save a checkpoint."""
        run = self.run
        if run.step == run.num_steps:
            return True
        verdict = self.guard.agree(self._wish())
        if verdict in (Verdict.INTERRUPT, Verdict.TERMINATE):
            self._interrupted(verdict)
        if verdict is Verdict.SAVE:
            self.callbacks.on_save(run, self.checkpointer.save(run.step))
            self._saved = time.monotonic()
        return verdict is Verdict.STOP

    def _wish(self) -> Verdict:
        """What this rank wants between two steps; clocks differ, so that ranks have to agree on the time."""
        run, training = self.run, self.run.config.training
        if run.stop_reason is not None:
            return Verdict.STOP
        if run.step == run.first:
            return Verdict.GO_ON
        by_step = training.checkpoint_every and run.step % training.checkpoint_every == 0
        minutes = (time.monotonic() - self._saved) / 60
        by_time = training.checkpoint_minutes and minutes >= training.checkpoint_minutes
        return Verdict.SAVE if by_step or by_time else Verdict.GO_ON

    def _interrupted(self, verdict: Verdict) -> None:
        run = self.run
        path = self.checkpointer.save(run.step) if run.step else None
        self.callbacks.on_save(run, path)
        if path is not None:
            tqdm.write(
                f"interrupted after step {run.step}: saved {path}" + (self.go_on and f"; {self.go_on}")
            )
        raise Interrupted(verdict)

    def _reason(self) -> str | None:
        """What the first rank that asked to stop said. Over W ranks: one gather of the texts."""
        run = self.run
        if run.step == run.num_steps:
            return None
        reason = str(next(said for said in gather_object([run.stop_reason]) if said is not None))
        if run.world.is_main:
            tqdm.write(f"stopped after step {run.step} of {run.num_steps}: {reason}")
        return reason
