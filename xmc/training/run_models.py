"""The models a run leaves: the best by validation and the last."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from xmc.data import Dataset
from xmc.distributed import World
from xmc.encoders import DualEncoder, LabelOffsets
from xmc.training.config import TrainConfig
from xmc.training.score_parameters import ScoreParameters

__all__ = ["RunModels"]


@dataclass
class RunModels:
    """Saves the encoder with its scale, its label offsets and what it was trained on; the main rank alone
    writes.

    ``best_step`` and ``best_metrics`` (percent) say which step's model is in ``model/``.
    """

    folder: Path
    config: TrainConfig
    dataset: Dataset
    encoder: DualEncoder
    parameters: ScoreParameters
    world: World
    best_step: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)

    @property
    def best_path(self) -> Path:
        """Where the best model is."""
        return self.folder / "model"

    @property
    def last_path(self) -> Path:
        """Where the last model is."""
        return self.folder / "last"

    def offer(self, step: int, metrics: dict[str, float]) -> None:
        """Keep the model of ``step`` when it beats the best so far on the configured metric."""
        name = self.config.validation.metric
        if not self.best_metrics or metrics[name] > self.best_metrics[name]:
            self.best_step, self.best_metrics = step, metrics
            self.save(self.best_path)

    def finish(self, step: int) -> None:
        """Save the last model, which is also the best when nothing was validated."""
        self.save(self.last_path)
        if not self.best_metrics:
            self.best_step = step
            self.save(self.best_path)

    def relative_offsets(self) -> np.ndarray | None:
        """The label offsets [L] in units of ``q.e`` (offset over scale), or None when none are learned."""
        if self.parameters.label_offsets is None:
            return None
        return (self.parameters.label_offsets / self.parameters.scale).detach().cpu().numpy()  # type: ignore[no-any-return]

    def save(self, path: Path) -> None:
        """Write the model as it is to ``path``, in place of an earlier one."""
        if not self.world.is_main:
            return
        manifest, data = self.dataset.manifest, self.config.data
        self.encoder.metadata = replace(
            self.encoder.metadata,
            scale=float(self.parameters.scale.detach()),
            query_fields=tuple(data.query_fields or manifest.query_fields),
            label_fields=tuple(data.label_fields or manifest.label_fields),
            dataset=self.dataset.name,
            label_fingerprint=self.dataset.label_fingerprint,
        )
        if self.parameters.label_offsets is not None:
            offsets = self.parameters.label_offsets.detach().cpu().numpy()
            self.encoder.label_offsets = LabelOffsets(list(self.dataset.uids("labels")), offsets)
        self.encoder.save(path, overwrite=True)

    def state_dict(self) -> dict[str, Any]:
        """Which model is the best, for a checkpoint."""
        return {"step": self.best_step, "metrics": self.best_metrics}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's best model."""
        self.best_step, self.best_metrics = state["step"], state["metrics"]
