"""The models a run leaves: the best by validation and the last."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from xmc.data import Dataset
from xmc.distributed import World
from xmc.encoders import LabelOffsets, LabelResiduals, LabelVectors
from xmc.files import atomic_folder
from xmc.training.config import TrainConfig
from xmc.training.learned.head import ranking_of
from xmc.training.learned.learner import Learner
from xmc.training.run.model_card import write_model_card

__all__ = ["KeptModel", "RunModels"]


@dataclass(frozen=True)
class KeptModel:
    """One of the best models: the step it was taken at and its validation metrics in percent."""

    step: int
    metrics: dict[str, float]


@dataclass
class RunModels:
    """Saves the encoder with its scale, its label offsets and what it was trained on.

    The main rank alone writes. ``kept`` are the best models so far, the best first; it is in ``model/``, and
    where more than one is kept each is in ``models/`` under its step. ``saved`` is called with the folder of
    each model written.
    """

    folder: Path
    config: TrainConfig
    dataset: Dataset
    learner: Learner
    world: World
    kept: list[KeptModel] = field(default_factory=list)
    saved: Callable[[Path], None] = lambda path: None

    @property
    def best_path(self) -> Path:
        """Where the best model is."""
        return self.folder / "model"

    @property
    def last_path(self) -> Path:
        """Where the last model is."""
        return self.folder / "last"

    def path_of(self, step: int) -> Path:
        """Where one of several models is kept."""
        return self.folder / "models" / f"step-{step:08d}"

    def offer(self, step: int, metrics: dict[str, float]) -> None:
        """Keep the model of ``step`` when it is among the best so far on the configured metric."""
        name, most = self.config.validation.metric, self.config.run.keep_best
        offered = KeptModel(step, metrics)
        # Stable: of equal models the earlier one is the better.
        ranked = sorted([*self.kept, offered], key=lambda model: -model.metrics[name])
        self.kept, dropped = ranked[:most], ranked[most:]
        if offered not in self.kept:
            return
        is_best = self.kept[0] == offered
        if most == 1:
            self.save(self.best_path, metrics)
            return
        self.save(self.path_of(step), metrics)
        if self.world.is_main:
            if is_best:
                _link_folder(self.path_of(step), self.best_path)
                self.saved(self.best_path)
            for model in dropped:
                shutil.rmtree(self.path_of(model.step), ignore_errors=True)

    def finish(self, step: int) -> None:
        """Save the last model, which is also the best when nothing was validated."""
        self.save(self.last_path)
        if not self.kept:
            self.kept = [KeptModel(step, {})]
            self.save(self.best_path)

    def save(self, path: Path, metrics: dict[str, float] | None = None) -> None:
        """Write the model as it is to ``path``, in place of an earlier one.

        Args:
            path: Its folder.
            metrics: Its validation metrics in percent, for the card.
        """
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
        write_model_card(path, self.config, self.dataset, encoder, metrics or {})
        self.saved(path)

    def listed(self) -> list[dict[str, Any]]:
        """The kept models for ``result.json``, the best first: path, step and metrics."""
        several = self.config.run.keep_best > 1 and bool(self.kept[0].metrics)
        return [
            {"path": self.path_of(model.step) if several else self.best_path, **asdict(model)}
            for model in self.kept
        ]

    def state_dict(self) -> dict[str, Any]:
        """Which models are the best, for a checkpoint."""
        return {"kept": [asdict(model) for model in self.kept]} if self.kept else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's best models.

        Models of later steps may lie in the folder; the resumed run makes them again.
        """
        self.kept = [KeptModel(**model) for model in state["kept"]]


def _link_folder(source: Path, path: Path) -> None:
    """Put a copy of a model folder in the place of another; its files are shared where the disk can."""
    with atomic_folder(path, overwrite=True) as temporary:
        shutil.copytree(source, temporary, copy_function=_link, dirs_exist_ok=True)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
