"""Ends a run that no longer gets better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xmc.training.callbacks.callback import Callback
from xmc.training.callbacks.run_state import RunState

__all__ = ["EarlyStopping"]


class EarlyStopping(Callback):
    """Asks to stop after ``patience`` validations in a row without a better metric.

    The untrained model's is no validation to beat, as it is none to keep.
    """

    def __init__(self, metric: str, patience: int) -> None:
        """Watch ``metric``, of which more is better."""
        self.metric, self.patience = metric, patience
        self.best, self.waited = float("-inf"), 0

    def on_start(self, run: RunState) -> None:
        """Stop again what was interrupted as it was about to stop."""
        self._stop_when_due(run)

    def after_validation(self, run: RunState, metrics: Mapping[str, float]) -> None:
        """See :class:`.callback.Callback`."""
        if run.step == 0:
            return
        if metrics[self.metric] > self.best:
            self.best, self.waited = metrics[self.metric], 0
            return
        self.waited += 1
        self._stop_when_due(run)

    def _stop_when_due(self, run: RunState) -> None:
        if self.waited >= self.patience:
            run.stop(f"no better {self.metric} than {self.best:.2f} in {self.waited} validations")

    def state_dict(self) -> dict[str, Any]:
        """See :class:`.callback.Callback`."""
        return {} if self.best == float("-inf") else {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`.callback.Callback`."""
        self.best, self.waited = state["best"], state["waited"]
