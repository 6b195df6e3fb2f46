"""The models a run leaves: the best by validation and the last."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from xmc.data import Dataset
from xmc.distributed import World
from xmc.encoders import LabelOffsets, LabelResiduals, LabelVectors
from xmc.encoders.static_model import StaticModel
from xmc.files import check_space, point_to
from xmc.prediction.calibration import FILE, Calibration
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

    The main rank alone writes. Each of the best models is a folder of its own in ``models/``, under its step,
    and is never written to again; ``model/`` leads to the best (:func:`xmc.files.point_to`). So a run that is
    killed at any moment has a whole ``model/``, and every model that a checkpoint names. ``kept`` are the
    best models so far, the best first. ``saved`` is called with the folder of each model written.
    ``calibrated`` gives the calibration of the model that is offered, without the model's fingerprint.
    """

    folder: Path
    config: TrainConfig
    dataset: Dataset
    learner: Learner
    world: World
    kept: list[KeptModel] = field(default_factory=list)
    saved: Callable[[Path], None] = lambda path: None
    calibrated: Callable[[], Calibration | None] | None = None

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

    def num_bytes(self) -> int:
        """Bytes of the weights of a model."""
        module = self.learner.encoder.module
        if isinstance(module, StaticModel):
            return module.num_bytes()
        return sum(tensor.nbytes for tensor in module.state_dict().values())

    def offer(self, step: int, metrics: dict[str, float]) -> None:
        """Keep the model of ``step`` when it is among the best so far on the configured metric."""
        name, most = self.config.validation.metric, self.config.run.keep_best
        offered = KeptModel(step, metrics)
        # Stable: of equal models the earlier one is the better.
        ranked = sorted([*self.kept, offered], key=lambda model: -model.metrics.get(name, 0.0))
        self.kept = ranked[:most]
        if offered not in self.kept:
            return
        self._set_aside(step)
        self.save(self.path_of(step), metrics)
        self._calibrate(self.path_of(step))
        if most > 1:
            self._tell(self.path_of(step))
        if self.kept[0] == offered:
            self._lead_to_best()
            self._tell(self.best_path)

    def prune(self, named: Collection[int] = ()) -> None:
        """Remove models that are neither kept nor of the steps ``named``, which checkpoints go on from."""
        if not self.world.is_main:
            return
        steps = {model.step for model in self.kept} | set(named)
        wanted = {self.path_of(step) for step in steps}
        for path in (self.folder / "models").glob("step-*"):
            if path not in wanted:
                shutil.rmtree(path, ignore_errors=True)

    def finish(self, step: int) -> None:
        """Save the last model, which is also the best when nothing was validated."""
        self.save(self.last_path)
        self._tell(self.last_path)
        if not self.kept:
            self.offer(step, {})

    def _set_aside(self, step: int) -> None:
        """Lead ``model/`` to a copy where a killed run left it at ``step``, which is written anew."""
        path = self.path_of(step)
        if self.world.is_main and self.best_path.is_symlink() and self.best_path.resolve() == path.resolve():
            copy = path.with_name(f"{path.name}-before")
            shutil.copytree(path, copy, dirs_exist_ok=True)
            point_to(self.best_path, copy)

    def _calibrate(self, path: Path) -> None:
        if self.calibrated is None or not self.world.is_main:
            return
        found = self.calibrated()
        if found is not None:
            replace(found, model_fingerprint=self.learner.encoder.fingerprint).save(path / FILE)

    def _tell(self, path: Path) -> None:
        if self.world.is_main:
            self.saved(path)

    def _lead_to_best(self) -> None:
        if self.world.is_main:
            point_to(self.best_path, self.path_of(self.kept[0].step))

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
        query_fields = tuple(data.query_fields or manifest.query_fields)
        encoder.metadata = replace(
            encoder.metadata,
            scale=scale,
            ranking=ranking,
            ranking_shift=shift,
            dimensions=_largest_first(self.config.encoder.dimensions),
            query_fields=query_fields,
            query_columns=manifest.query_columns_of(query_fields),
            label_fields=tuple(data.label_fields or manifest.label_fields),
            label_texts=data.label_texts,
            label_fold=data.label_fold,
            dataset=self.dataset.name,
            label_fingerprint=self.dataset.label_fingerprint,
            dataset_fingerprint=self.dataset.fingerprint,
        )
        uids = list(self.dataset.uids("labels"))
        if parameters.label_offsets is not None:
            encoder.label_offsets = LabelOffsets(uids, parameters.label_offsets.detach().cpu().numpy())
        if residuals is not None:
            rows, table = residuals.rows.cpu().numpy(), residuals.table.float().cpu().numpy().copy()
            encoder.label_residuals = LabelResiduals(uids, rows, table)
        if self.learner.head is not None:
            dtype = torch.float16 if self.config.head.table == "fp16" else torch.float32
            encoder.label_vectors = LabelVectors(uids, self.learner.head.table(dtype).cpu().numpy())
        check_space(path, self.num_bytes())
        encoder.save(path, overwrite=True)
        write_model_card(path, self.config, self.dataset, encoder, metrics or {})

    def listed(self) -> list[dict[str, Any]]:
        """The kept models for ``result.json``, the best first: path, step and metrics."""
        return [{"path": self.path_of(model.step), **asdict(model)} for model in self.kept]

    def state_dict(self) -> dict[str, Any]:
        """Which models are the best, for a checkpoint."""
        return {"kept": [asdict(model) for model in self.kept]} if self.kept else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's best models.

        A model that is gone is told of, and is no longer one of the best. Models of later steps may lie in
        the folder; the resumed run makes them again.
        """
        said = [KeptModel(**model) for model in state["kept"]]
        self.kept = [model for model in said if self.path_of(model.step).is_dir()]
        for model in said:
            if model not in self.kept and self.world.is_main:
                tqdm.write(f"{self.path_of(model.step)} is gone: the best model is chosen without it")
        if self.kept:
            self._lead_to_best()


def _largest_first(dimensions: list[int] | None) -> tuple[int, ...] | None:
    return None if dimensions is None else tuple(sorted(dimensions, reverse=True))
