"""Where a run's files go, and when it is validated. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from xmc.errors import ConfigError
from xmc.training.options import at_least, positive

__all__ = ["RunOptions", "ValidationConfig"]


@dataclass(frozen=True)
class RunOptions:
    """Where the run's files go."""

    dir: str
    """The run's folder; made anew."""

    resume: bool = False
    """Go on from the latest checkpoint in the folder."""

    resume_with_changes: bool = False
    """Resume also with another configuration; each change is recorded with its step in changes.jsonl,
    result.json and the report."""

    overwrite: bool = False
    """Remove an earlier run that is in the way."""

    log_every: int = 10
    """Optimiser steps between lines of metrics.jsonl."""

    keep_best: int = 1
    """How many of the best models by validation are kept: model/ is the best, and with more than one each
    is in models/ under its step; result.json has their metrics."""

    keep_checkpoints: int = 2
    """How many of the newest checkpoints are kept; a damaged one is passed over for the one before."""

    rank_timeout: int = 40
    """Seconds without a sign of life in a step or validation after which a process of several hangs, and all
    are ended; 0 to leave them alone."""

    trackers: list[str] = field(default_factory=lambda: ["tensorboard"])
    """Where metrics go besides metrics.jsonl: any tracker of Accelerate by name, such as wandb. TensorBoard's
    files are in tensorboard/ of the folder."""

    project: str = "xmc"
    """The project, or experiment, that trackers file the run under."""

    name: str | None = None
    """What trackers call the run; the name of its folder when null."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, an interval that is not above 0, and resuming what is overwritten."""
        positive("run.log_every", self.log_every)
        at_least("run.keep_best", self.keep_best, 1)
        at_least("run.keep_checkpoints", self.keep_checkpoints, 1)
        at_least("run.rank_timeout", self.rank_timeout, 0)
        if self.resume and self.overwrite:
            raise ConfigError(
                "expected run.resume or run.overwrite, got both: resume keeps what overwrite removes (give "
                "--run.overwrite false to go on with what is there)"
            )


@dataclass(frozen=True)
class ValidationConfig:
    """Validation on rows held out of the training rows, never on the test set."""

    rows: int = 1000
    """Training rows held out; 0 for no validation, and then the last model is the best."""

    every: int = 200
    """Optimiser steps between validations; the start and the last step are validated too."""

    metric: Literal["P@1", "P@3", "P@5", "nDCG@5", "PSP@1", "PSP@5", "R@10", "R@100"] = "nDCG@5"
    """The metric that decides which model is the best."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, a negative number of rows and an interval that is not above 0."""
        if self.rows < 0:
            raise ConfigError(f"validation.rows: expected 0 or more, got {self.rows}")
        positive("validation.every", self.every)

    def due(self, step: int, num_steps: int) -> bool:
        """Whether the model is validated after ``step`` of ``num_steps``."""
        return self.rows > 0 and (step % self.every == 0 or step == num_steps)

    def num_due(self, step: int, num_steps: int) -> int:
        """Validations after ``step``."""
        if not self.rows or step >= num_steps:
            return 0
        return num_steps // self.every - step // self.every + (num_steps % self.every > 0)
