"""The loop: composes data, encoder, batches, what is learned and the run folder."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from tqdm.auto import tqdm

from xmc.data import Dataset, TokenRows, train_validation_split
from xmc.distributed import current_world
from xmc.encoders import DualEncoder
from xmc.machine import save_machine
from xmc.random_streams import Stream, torch_seed
from xmc.training.batches.batches import Batches, build_batches
from xmc.training.batches.tokens import TrainingTexts, training_tokens, with_label_queries
from xmc.training.config import TrainConfig, check_objective, with_scale_rate
from xmc.training.learned.frozen_encoder import FrozenEncoder, residual_rows
from xmc.training.learned.learner import build_learner
from xmc.training.objective import configured_objective
from xmc.training.run.allocator import keep_freed_memory
from xmc.training.run.announce import announce, announce_cuts
from xmc.training.run.checkpoint import Checkpointer
from xmc.training.run.folder import prepare_run_folder, save_config
from xmc.training.run.interrupt import InterruptGuard
from xmc.training.run.metrics_log import MetricsLog, check_trackers, open_log
from xmc.training.run.models import RunModels
from xmc.training.run.precision import mixed_precision
from xmc.training.run.progress import Progress
from xmc.training.run.result import TrainResult, save_result
from xmc.training.step import StepInputs, StepResult, optimise
from xmc.training.validation import Validator

__all__ = ["TrainResult", "Trainer", "train"]


def train(config: TrainConfig) -> TrainResult:
    """Train as ``config`` says; see :class:`Trainer`."""
    return Trainer(config).fit()


class Trainer:
    """Trains a dual encoder; leaves ``model/`` (best), ``last/``, metrics and checkpoints in its folder.

    Under ``accelerate launch`` every rank makes one; ranks share the work and agree on every batch.

    Args:
        config: The run.
        dataset: Opened from ``config.data.path`` when None.
        encoder: Built from ``config.encoder`` when None.

    Raises:
        XMCError: When the configuration, the data or the folder cannot work.
    """

    def __init__(
        self, config: TrainConfig, *, dataset: Dataset | None = None, encoder: DualEncoder | None = None
    ) -> None:
        self.config = config
        check_trackers(config.run.trackers)
        self.dataset = dataset or Dataset.load(config.data.path)
        self.accelerator = Accelerator(
            cpu=not torch.accelerator.is_available(),
            mixed_precision=mixed_precision(config.training.precision),
            log_with=config.run.trackers or None,
            project_dir=config.run.dir,
        )
        self.world, self.device = current_world(), self.accelerator.device
        if self.device.type == "cpu":
            keep_freed_memory()
        torch.manual_seed(torch_seed(config.seed, Stream.INITIAL_WEIGHTS))
        self.objective = configured_objective(config.objective)
        check_objective(config, self.objective.facts)
        self.config = config = with_scale_rate(config, self.objective.facts)
        self.encoder = encoder or DualEncoder.build(config.encoder, TrainingTexts(self.dataset, config.data))
        relevance = self.dataset.relevance("train")
        rows, self.validation_rows = train_validation_split(relevance, config.validation.rows, config.seed)
        self.batches = self._build_batches(rows)
        self.num_steps = self.batches.num_steps(config.training.epochs, config.training.accumulation)
        label_texts = self.dataset.texts("labels", config.data.label_fields)
        points = relevance[rows].getnnz(axis=0)
        self.learner = build_learner(config, self.encoder, label_texts, points, self.device, self.world)
        self.folder = self._prepare_folder()
        self.models = RunModels(self.folder, config, self.dataset, self.learner, self.world)
        self.checkpointer = Checkpointer(
            self.folder / "checkpoints",
            self.learner.modules,
            self.learner.optimisers,
            {"batches": self.batches, "best": self.models},
            self.world,
        )
        self.step = 0

    def fit(self) -> TrainResult:
        """Train to the last step and save.

        Raises:
            KeyboardInterrupt: After Ctrl-C, when the running step is done and a checkpoint is written.
        """
        inputs = self.prepare_inputs()
        if self.config.run.resume:
            self._resume()
        if self.world.is_main:
            announce(
                self.config,
                self.dataset,
                self.encoder,
                num_steps=self.num_steps,
                pool_size=self.batches.pools.expected_size(),
                world_size=self.world.size,
            )
            save_config(self.config, self.folder / "config.yaml")
        started, validation = time.perf_counter(), self.config.validation
        progress = Progress(self.num_steps, self.step, validation, hidden=not self.world.is_main)
        with (
            closing(self.batches),
            closing(open_log(self.folder, self.accelerator, self.config.run.trackers)) as log,
            InterruptGuard(self.world, self.device) as guard,
        ):
            self._loop(inputs, guard, log, progress)
        return self._finish(time.perf_counter() - started, progress.pace.rows_per_second)

    def prepare_inputs(self) -> StepInputs:
        """Everything a step needs: the tokens are made where they are not on disk yet."""
        config, progress = self.config, self.world.is_main
        with self.accelerator.main_process_first():
            trained, labels = training_tokens(self.dataset, self.encoder, config.data, progress)
            queries: TokenRows = trained
            if self.world.is_main:
                announce_cuts(trained, labels, self.encoder)
            if config.data.num_label_queries(config.training.batch_size):
                queries = with_label_queries(trained, self.dataset, self.encoder, config.data, progress)
        self.validator = Validator(
            self.dataset,
            self.validation_rows,
            config.data.query_fields,
            config.data.label_fields,
            self.world,
            self.device,
            config,
        )
        frozen = FrozenEncoder(
            self.encoder,
            residual_rows(self.learner.residuals),
            queries,
            labels,
            config.training.micro_batch_tokens,
            self.accelerator.autocast,
        )
        return StepInputs(
            config=config,
            num_steps=self.num_steps,
            learner=self.learner,
            queries=queries,
            labels=labels,
            batches=self.batches,
            frozen=frozen,
            objective=self.objective,
            world=self.world,
            device=self.device,
            autocast=self.accelerator.autocast,
        )

    def _build_batches(self, rows: np.ndarray) -> Batches:
        config = self.config
        return build_batches(
            config.negatives,
            self.dataset.relevance("train"),
            rows,
            batch_size=config.training.batch_size,
            label_queries=config.data.num_label_queries(config.training.batch_size),
            dimension=self.encoder.dimension,
            seed=config.seed,
            world=self.world,
            device=self.device,
            folder=Path(config.run.dir),
            by_moments=self.objective.facts.takes_moments,
        )

    def _prepare_folder(self) -> Path:
        if self.world.is_main:
            prepare_run_folder(self.config.run)
        self.accelerator.wait_for_everyone()
        return Path(self.config.run.dir)

    def _resume(self) -> None:
        self.step = self.checkpointer.load_latest() or 0
        if self.world.is_main:
            MetricsLog.truncate(self.folder / "metrics.jsonl", self.step)
            tqdm.write(f"resumed after step {self.step}" if self.step else "no checkpoint yet: starting over")

    def _loop(self, inputs: StepInputs, guard: InterruptGuard, log: MetricsLog, progress: Progress) -> None:
        config, queries = self.config, self.config.training.batch_size * self.config.training.accumulation
        self.encoder.train()
        if config.validation.rows and self.step == 0:
            self._validate(log, progress)
        with progress:
            while self.step < self.num_steps:
                with progress.step(queries):
                    result = optimise(inputs, self.step)
                self.step += 1
                last = self.step == self.num_steps
                if self.step % config.run.log_every == 0 or last:
                    progress.show_loss(float(result.loss))
                    self._log_step(result, log, progress)
                progress.show_time_left(self.step)
                if config.validation.due(self.step, self.num_steps):
                    self._validate(log, progress)
                if not last:
                    self._pause_points(guard)

    def _log_step(self, result: StepResult, log: MetricsLog, progress: Progress) -> None:
        training, head = self.config.training, self.learner.head
        values: dict[str, Any] = {
            "epoch": round(self.step / self.num_steps * training.epochs, 4),
            "loss": float(result.loss),
            "learning_rate": training.learning_rate * result.factor,
            "scale": float(self.learner.parameters.scale.detach()),
            "rows_per_second": progress.pace.rows_per_second,
        }
        if result.gradient_norm is not None:
            values["gradient_norm"] = result.gradient_norm
        if head is not None and head.records:
            values["head"] = head.records[-1].as_dict()
        values |= self.batches.metrics(self.step * training.accumulation, self.step)
        log.write(self.step, values, "train/")

    def _validate(self, log: MetricsLog, progress: Progress) -> None:
        with progress.validating():
            metrics = self.validator(self.learner)
        log.write(self.step, {"validation": metrics})
        if self.step > 0:
            self.models.offer(self.step, metrics)
        progress.show_validation(self.step, metrics)

    def _pause_points(self, guard: InterruptGuard) -> None:
        every = self.config.training.checkpoint_every
        if guard.stop_now():
            path = self.checkpointer.save(self.step)
            if path is not None:
                tqdm.write(f"interrupted after step {self.step}: saved {path}; go on with --run.resume true")
            raise KeyboardInterrupt
        if every and self.step % every == 0:
            self.checkpointer.save(self.step)

    def _finish(self, seconds: float, rows_per_second: float) -> TrainResult:
        self.models.finish(self.step)
        result = TrainResult(
            model_path=self.models.best_path,
            last_path=self.models.last_path,
            num_steps=self.step,
            best_step=self.models.best_step,
            validation=self.models.best_metrics,
            seconds=seconds,
            rows_per_second=rows_per_second,
        )
        if self.world.is_main:
            save_result(result, self.folder)
            save_machine(self.folder, self.world.size)
        self.accelerator.wait_for_everyone()
        return result
