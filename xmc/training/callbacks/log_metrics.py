"""Writes a run's numbers to ``metrics.jsonl`` and its trackers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xmc.training.batches.batches import Batches
from xmc.training.callbacks.callback import Callback
from xmc.training.callbacks.run_state import RunState
from xmc.training.step import StepResult

__all__ = ["LogMetrics"]


class LogMetrics(Callback):
    """A line every ``run.log_every`` steps and for each validation."""

    def __init__(self, batches: Batches, epochs: float) -> None:
        """Log what ``batches`` tell too; ``epochs`` are those that the run's steps come to."""
        self.batches, self.epochs = batches, epochs

    def after_step(self, run: RunState, result: StepResult) -> None:
        """See :class:`.callback.Callback`."""
        if (run.step % run.config.run.log_every and run.step != run.num_steps) or result.skipped is not None:
            return
        training, head = run.config.training, run.learner.head
        values: dict[str, Any] = {
            "epoch": round(run.step / run.num_steps * self.epochs, 4),
            "loss": float(result.loss),
            "learning_rate": training.encoder_rate * result.factor,
            "scale": float(run.learner.parameters.scale.detach()),
            "rows_per_second": run.pace.rows_per_second,
        }
        if result.gradient_norm is not None:
            values["gradient_norm"] = result.gradient_norm
        if head is not None and head.records:
            values["head"] = head.records[-1].as_dict()
        values |= self.batches.metrics(run.step * training.accumulation, run.step)
        run.log.write(run.step, values, "train/")

    def after_validation(self, run: RunState, metrics: Mapping[str, float]) -> None:
        """See :class:`.callback.Callback`."""
        run.log.write(run.step, {"validation": dict(metrics)})
