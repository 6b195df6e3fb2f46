"""What a callback may see of a run, and the one thing it may ask of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from xmc.data import Dataset
from xmc.distributed import World
from xmc.encoders import DualEncoder
from xmc.training.config import TrainConfig
from xmc.training.learned.learner import Learner
from xmc.training.run.metrics_log import MetricsLog
from xmc.training.run.pace import Pace

__all__ = ["RunState"]


@dataclass
class RunState:
    """A run as it stands, the same on every rank but for ``world.rank``, ``pace`` and ``stop_reason``.

    Attributes:
        config: Every option, as in the run's ``config.yaml``.
        num_steps: Optimiser steps of the whole run.
        step: Steps taken so far.
        first: Steps that were taken before this process began: above 0 in a resumed run.
        world: This rank and the number of ranks.
        device: Of the model.
        dataset: Trained on.
        learner: The encoder, the scale and the label offsets, residuals, head and optimisers.
        folder: The run's.
        log: ``log.write(step, {"name": number})`` adds a line to ``metrics.jsonl`` and tells the trackers.
        pace: Times of the steps of this process.
        stop_reason: Why this rank wants to end, or None.
    """

    config: TrainConfig
    num_steps: int
    step: int
    first: int
    world: World
    device: torch.device
    dataset: Dataset
    learner: Learner
    folder: Path
    log: MetricsLog
    pace: Pace
    stop_reason: str | None = None

    @property
    def encoder(self) -> DualEncoder:
        """What texts are encoded by, in training mode while steps are taken."""
        return self.learner.encoder

    def stop(self, reason: str) -> None:
        """Ask that no further step is taken. Any rank may ask; all end after the same step."""
        self.stop_reason = self.stop_reason or reason
