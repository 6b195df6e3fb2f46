"""The models a run leaves: the best by validation and the last."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xmc.data import Dataset
from xmc.distributed import World
from xmc.encoders import LabelOffsets, LabelResiduals, LabelVectors
from xmc.training.config import TrainConfig
from xmc.training.learned.head import ranking_of
from xmc.training.learned.learner import Learner
from xmc.training.run.model_card import write_model_card

__all__ = ["RunModels"]


@dataclass
class RunModels:
    """Saves the encoder with its scale, its label offsets and what it was trained on.

    The main rank alone writes. ``best_step`` and ``best_metrics`` (percent) are of the model in ``model/``.
    """

    folder: Path
    config: TrainConfig
    dataset: Dataset
    learner: Learner
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

    def save(self, path: Path) -> None:
        """Write the model as it is to ``path``, in place of an earlier one."""
        if not self.world.is_main:
            return
        manifest, data, encoder = self.dataset.manifest, self.config.data, self.learner.encoder
        parameters, residuals = self.learner.parameters, self.learner.residuals
        scale = float(parameters.scale.detach())
        ranking, shift = ranking_of(self.config, scale)
        encoder.metadata = replace(
            encoder.metadata,
            scale=scale,
            ranking=ranking,
            ranking_shift=shift,
            query_fields=tuple(data.query_fields or manifest.query_fields),
            label_fields=tuple(data.label_fields or manifest.label_fields),
            dataset=self.dataset.name,
            label_fingerprint=self.dataset.label_fingerprint,
        )
        uids = list(self.dataset.uids("labels"))
        if parameters.label_offsets is not None:
            encoder.label_offsets = LabelOffsets(uids, parameters.label_offsets.detach().cpu().numpy())
        if residuals is not None:
            rows, table = residuals.rows.cpu().numpy(), residuals.table.cpu().numpy().copy()
            encoder.label_residuals = LabelResiduals(uids, rows, table)
        if self.learner.head is not None:
            dtype = torch.float16 if self.config.head.table == "fp16" else torch.float32
            encoder.label_vectors = LabelVectors(uids, self.learner.head.table(dtype).cpu().numpy())
        encoder.save(path, overwrite=True)
        validation = self.best_metrics if path == self.best_path else {}
        write_model_card(path, self.config, self.dataset, encoder, validation)

    def state_dict(self) -> dict[str, Any]:
        """Which model is the best, for a checkpoint."""
        return {"step": self.best_step, "metrics": self.best_metrics}

    def tensors(self) -> dict[str, Tensor]:
        """Nothing besides."""
        return {}

    def load(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Go on from a checkpoint's best model."""
        self.best_step, self.best_metrics = state["step"], state["metrics"]
