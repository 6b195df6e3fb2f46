"""Keeps the best models by validation, and the last one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xmc.training.callbacks.callback import Callback
from xmc.training.callbacks.run_state import RunState
from xmc.training.run.checkpoint import CHECKPOINTS, stored_states
from xmc.training.run.models import RunModels

__all__ = ["KeepBest"]


class KeepBest(Callback):
    """Offers each validated model but the untrained one to :class:`xmc.training.run.models.RunModels`."""

    def __init__(self, models: RunModels) -> None:
        self.models = models

    def after_validation(self, run: RunState, metrics: Mapping[str, float]) -> None:
        """See :class:`.callback.Callback`."""
        if run.step > 0:
            self.models.offer(run.step, dict(metrics))
            self._prune(run)

    def on_save(self, run: RunState, path: Path) -> None:
        """See :class:`.callback.Callback`; after a checkpoint, models that it no longer names go."""
        if path.parent.name == CHECKPOINTS:
            self._prune(run)

    def _prune(self, run: RunState) -> None:
        # A killed run goes on from a checkpoint, whose best models have to be there still.
        states = [state["callbacks"].get(self.name, {}) for state in stored_states(run.folder / CHECKPOINTS)]
        self.models.prune({model["step"] for state in states for model in state.get("kept", [])})

    def state_dict(self) -> dict[str, Any]:
        """See :class:`.callback.Callback`."""
        return self.models.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`.callback.Callback`."""
        self.models.load_state_dict(state)
