"""The base class of callbacks: what a run tells, and when."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xmc.training.callbacks.run_state import RunState
from xmc.training.step import StepResult

__all__ = ["Callback"]


class Callback:
    """Takes part in a run between its steps. A subclass overrides what it takes part in.

    Every rank has its own and calls the same hooks in the same order, so that a hook may use collectives
    (but for :meth:`on_end` of a run that failed) and writes files on ``run.world.is_main`` alone. An error in
    a hook ends the run.
    """

    @property
    def name(self) -> str:
        """What messages and checkpoints call it, different from that of every other: its class's name."""
        return type(self).__name__

    def on_start(self, run: RunState) -> None:
        """Before the first validation and the first step; of a resumed run too, its state loaded."""
        return

    def before_step(self, run: RunState) -> None:
        """Before the step that follows ``run.step`` of them."""
        return

    def after_step(self, run: RunState, result: StepResult) -> None:
        """When ``run.step`` steps are taken; ``result`` is of the last of them."""
        return

    def after_validation(self, run: RunState, metrics: Mapping[str, float]) -> None:
        """When the model of ``run.step`` was measured on the held-out rows, in percent, equal on every rank.

        Step 0 is the untrained model.
        """
        return

    def on_save(self, run: RunState, path: Path) -> None:
        """When a model or a checkpoint (a folder within ``checkpoints``) was written to ``path``.

        On the main rank alone, which writes.
        """
        return

    def on_end(self, run: RunState, error: BaseException | None) -> None:
        """Once the last model is saved, or when the run ends by ``error``, an interrupt among them."""
        return

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it, the main rank's: numbers, texts and lists for JSON."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint; not called where it knew no callback of this name."""
        return
