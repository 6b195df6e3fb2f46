"""The loop: composes data, encoder, pools, scoring and optimiser into a run folder."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from accelerate import Accelerator
from tqdm.auto import tqdm

from xmc.data import Dataset, TokenStore, train_validation_split
from xmc.distributed import current_world
from xmc.durations import duration
from xmc.encoders import DualEncoder
from xmc.files import atomic_file
from xmc.machine import save_machine
from xmc.training.batches.label_queries import StackedTokens, build_label_queries, with_label_rows
from xmc.training.batches.label_sources import LabelSources, build_query_sampler
from xmc.training.batches.token_stores import (
    TrainingTexts,
    label_query_tokens,
    label_tokens,
    query_tokens,
    truncated_note,
)
from xmc.training.config import TrainConfig, check_objective, with_scale_rate
from xmc.training.head_step import step_head
from xmc.training.learned.learner import build_learner
from xmc.training.learned.optimiser import warmup_linear_decay
from xmc.training.objective import configured_objective
from xmc.training.run.allocator import keep_freed_memory
from xmc.training.run.checkpoint import Checkpointer
from xmc.training.run.estimate import estimate_cost
from xmc.training.run.folder import prepare_run_folder, save_config
from xmc.training.run.interrupt import InterruptGuard
from xmc.training.run.metrics_log import MetricsLog, check_trackers
from xmc.training.run.models import RunModels
from xmc.training.run.pace import Pace
from xmc.training.run.precision import mixed_precision
from xmc.training.step import StepInputs, accumulate_gradients
from xmc.training.validation import Validator

__all__ = ["TrainResult", "Trainer", "train"]

STEPS_BEFORE_ETA = 10
SHOWN = ("P@1", "P@5", "nDCG@5", "PSP@5", "R@100")


@dataclass(frozen=True)
class TrainResult:
    """What a run came to.

    Attributes:
        model_path: The best model by validation; the last one when nothing was validated.
        last_path: The model after the last step.
        num_steps: Optimiser steps in all.
        best_step: The step of the best model.
        validation: Its validation metrics in percent, empty when nothing was validated.
        seconds: Wall time of the steps and validations of this process.
        rows_per_second: Training rows over the time of the steps alone.
    """

    model_path: Path
    last_path: Path
    num_steps: int
    best_step: int
    validation: dict[str, float]
    seconds: float
    rows_per_second: float


def train(config: TrainConfig) -> TrainResult:
    """Train as ``config`` says; see :class:`Trainer`."""
    return Trainer(config).fit()


class Trainer:
    """Trains a dual encoder; ``model/`` (best), ``last/``, metrics and checkpoints stay in the run's folder.

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
        torch.manual_seed(config.seed)
        self.objective = configured_objective(config.objective)
        check_objective(config, self.objective.facts)
        self.config = config = with_scale_rate(config, self.objective.facts)
        self.encoder = encoder or DualEncoder.build(config.encoder, TrainingTexts(self.dataset, config.data))
        label_texts = self.dataset.texts("labels", config.data.label_fields)
        points = self._prepare_rows()
        self.learner = build_learner(config, self.encoder, label_texts, points, self.device, self.world)
        self.folder = self._prepare_folder()
        self.models = RunModels(self.folder, config, self.dataset, self.learner, self.world)
        self.checkpointer = Checkpointer(
            self.folder / "checkpoints", self.learner.modules, self.learner.optimizer
        )
        self.step, self.pace = 0, Pace()

    def fit(self) -> TrainResult:
        """Train to the last step and save.

        Raises:
            KeyboardInterrupt: After Ctrl-C, when the running step is done and a checkpoint is written.
        """
        inputs = self.prepare_inputs()
        if self.config.run.resume:
            self._resume()
        if self.world.is_main:
            self._announce()
            save_config(self.config, self.folder / "config.yaml")
        if self.config.run.trackers:
            # The name is TensorBoard's folder in the run's, and the project of any other tracker.
            self.accelerator.init_trackers(
                "tensorboard" if self.config.run.trackers == ["tensorboard"] else "xmc"
            )
        self.log = MetricsLog(self.folder / "metrics.jsonl", self.accelerator)
        started = time.perf_counter()
        try:
            with InterruptGuard(self.world, self.device) as guard:
                self._loop(inputs, guard)
        finally:
            self.sources.close()
            self.log.close()
        return self._finish(time.perf_counter() - started)

    def _prepare_rows(self) -> np.ndarray:
        """Split the rows and draw up the sources; how many training rows each label has, [L]."""
        training, seed = self.config.training, self.config.seed
        relevance = self.dataset.relevance("train")
        rows, self.validation_rows = train_validation_split(relevance, self.config.validation.rows, seed)
        self.rows = build_query_sampler(self.config.negatives, rows, training.batch_size, seed)
        self.num_steps = max(
            1, math.ceil(training.epochs * self.rows.steps_per_epoch / training.accumulation)
        )
        self.label_queries = build_label_queries(self.config, *relevance.shape)
        self.sources = LabelSources.build(
            self.config.negatives,
            self.rows,
            rows,
            relevance[rows],
            dimension=self.encoder.dimension,
            seed=seed,
            world=self.world,
            device=self.device,
            folder=Path(self.config.run.dir),
            draws=[] if self.label_queries is None else [self.label_queries.draw],
            by_moments=self.objective.facts.takes_moments,
        )
        return np.asarray(relevance[rows].getnnz(axis=0))

    def _prepare_folder(self) -> Path:
        if self.world.is_main:
            prepare_run_folder(self.config.run)
        self.accelerator.wait_for_everyone()
        return Path(self.config.run.dir)

    def prepare_inputs(self) -> StepInputs:
        """Everything a step needs besides its rows: the tokens are made where they are not on disk yet."""
        data, relevance = self.config.data, self.dataset.relevance("train")
        queries: TokenStore | StackedTokens
        with self.accelerator.main_process_first():
            queries = query_tokens(self.dataset, self.encoder, data.query_fields, self.world.is_main)
            labels = label_tokens(self.dataset, self.encoder, data.label_fields, self.world.is_main)
            if self.world.is_main:
                self._say_truncated(queries, labels)
            if self.label_queries is not None:
                texts = label_query_tokens(self.dataset, self.encoder, data.label_fields, self.world.is_main)
                queries, relevance = StackedTokens(queries, texts), with_label_rows(relevance)
        self.validator = Validator(
            self.dataset,
            self.validation_rows,
            data.query_fields,
            data.label_fields,
            self.world,
            self.device,
            self.config,
        )
        return StepInputs(
            config=self.config,
            learner=self.learner,
            queries=queries,
            labels=labels,
            relevance=relevance,
            sources=self.sources,
            objective=self.objective,
            world=self.world,
            device=self.device,
            autocast=self.accelerator.autocast,
        )

    def _loop(self, inputs: StepInputs, guard: InterruptGuard) -> None:
        self.encoder.train()
        if self.config.validation.rows and self.step == 0:
            self._validate()
        begun, bar = self.step, self._bar()
        with bar:
            while self.step < self.num_steps:
                loss, norm = self._timed_step(inputs)
                bar.update()
                last = self.step == self.num_steps
                if self.step % self.config.run.log_every == 0 or last:
                    bar.set_postfix(loss=f"{float(loss):.4f}")
                    self._log_step(float(loss), norm)
                if self.step - begun == STEPS_BEFORE_ETA and self.world.is_main:
                    tqdm.write(f"about {self._remaining()} left, validations included")
                if self.config.validation.due(self.step, self.num_steps):
                    self._validate()
                if not last:
                    self._pause_points(guard)

    def _bar(self) -> tqdm[NoReturn]:
        hidden = not self.world.is_main
        return tqdm(total=self.num_steps, initial=self.step, desc="training", unit="step", disable=hidden)

    def _pause_points(self, guard: InterruptGuard) -> None:
        if guard.stop_now():
            self._interrupt()
        every = self.config.training.checkpoint_every
        if every and self.step % every == 0:
            self._checkpoint()

    def _timed_step(self, inputs: StepInputs) -> tuple[torch.Tensor, float | None]:
        started = time.perf_counter()
        result = self.optimise(inputs)
        self.step += 1
        rows = self.config.training.batch_size * self.config.training.accumulation
        self.pace.add_step(time.perf_counter() - started, rows)
        return result

    def _remaining(self) -> str:
        validations = self.config.validation.num_due(self.step, self.num_steps)
        return duration(self.pace.remaining(self.num_steps - self.step, validations))

    def optimise(self, inputs: StepInputs) -> tuple[torch.Tensor, float | None]:
        """Take one optimiser step; returns the loss of its rows and the norm of the encoder's gradient."""
        training = self.config.training
        self.learner.zero_grad()
        loss, head = torch.zeros((), device=self.device), self.learner.head
        factor = warmup_linear_decay(self.step, self.num_steps, training.warmup)
        for part in range(training.accumulation):
            draw = self.step * training.accumulation + part
            rows = self.sources.next_rows(
                draw, self.step, inputs.frozen_encoder, self.learner.relative_offsets
            )
            if self.label_queries is not None:
                rows = self.label_queries.extend(rows, draw)
            if head is None:
                loss += accumulate_gradients(inputs, rows, draw)
            else:
                loss += step_head(inputs, head, rows, draw, factor)
        return loss, self.learner.apply_gradients(factor, inputs.watch)

    def _log_step(self, loss: float, norm: float | None) -> None:
        values: dict[str, Any] = {
            "epoch": round(self.step / self.num_steps * self.config.training.epochs, 4),
            "loss": loss,
            "learning_rate": self.learner.optimizer.param_groups[0]["lr"],
            "scale": float(self.learner.parameters.scale.detach()),
            "rows_per_second": self.pace.rows_per_second,
        }
        if norm is not None:
            values["gradient_norm"] = norm
        if self.learner.head is not None and self.learner.head.records:
            values["head"] = self.learner.head.records[-1].as_dict()
        values |= self.sources.metrics(self.step * self.config.training.accumulation, self.step)
        self.log.write(self.step, values, "train/")

    def _validate(self) -> None:
        started = time.perf_counter()
        metrics = self.validator(self.learner)
        self.pace.validation_seconds = time.perf_counter() - started
        self.log.write(self.step, {"validation": metrics})
        if self.step > 0:
            self.models.offer(self.step, metrics)
        if self.world.is_main:
            shown = "  ".join(f"{name} {metrics[name]:.2f}" for name in SHOWN)
            left = f"  about {self._remaining()} left" if 0 < self.step < self.num_steps else ""
            tqdm.write(f"step {self.step}: validation {shown}{left}")

    def _checkpoint(self) -> Path | None:
        tensors = self.sources.tensors()  # of every rank's share
        if not self.world.is_main:
            return None
        state = {**self.sources.state_dict(), "best": self.models.state_dict()}
        return self.checkpointer.save(self.step, state, tensors)

    def _interrupt(self) -> None:
        path = self._checkpoint()
        if path is not None:
            tqdm.write(f"interrupted after step {self.step}: saved {path}; go on with --run.resume true")
        raise KeyboardInterrupt

    def _resume(self) -> None:
        state = self.checkpointer.load_latest()
        if state is not None:
            self.step = state["step"]
            self.models.load_state_dict(state["best"])
            self.sources.load_state_dict(state, state.get("tensors", {}))
        if self.world.is_main:
            MetricsLog.truncate(self.folder / "metrics.jsonl", self.step)
            tqdm.write(f"resumed after step {self.step}" if self.step else "no checkpoint yet: starting over")

    def _announce(self) -> None:
        estimate = estimate_cost(
            self.config,
            num_steps=self.num_steps,
            num_parameters=sum(p.numel() for p in self.encoder.parameters()),
            dimension=self.encoder.dimension,
            pool_size=self.sources.pools.expected_size(),
            num_labels=self.dataset.num_labels,
            micro_batch_tokens=self.config.training.micro_batch_tokens
            or self.encoder.query_tower.micro_batch_tokens,
            world_size=self.world.size,
        )
        tqdm.write(f"{self.dataset.name}: {estimate}")
        if self.dataset.rows_without_labels:
            tqdm.write(f"{self.dataset.rows_without_labels:,} training rows have no label and are skipped")

    def _say_truncated(self, queries: TokenStore, labels: TokenStore) -> None:
        lengths = self.encoder.query_tower.max_length, self.encoder.label_tower.max_length
        for note in (
            truncated_note(queries, "training queries", lengths[0], "encoder.query_length"),
            truncated_note(labels, "labels", lengths[1], "encoder.label_length"),
        ):
            if note:
                tqdm.write(note)

    def _finish(self, seconds: float) -> TrainResult:
        self.models.finish(self.step)
        result = TrainResult(
            model_path=self.models.best_path,
            last_path=self.models.last_path,
            num_steps=self.step,
            best_step=self.models.best_step,
            validation=self.models.best_metrics,
            seconds=seconds,
            rows_per_second=self.pace.rows_per_second,
        )
        if self.world.is_main:
            with atomic_file(self.folder / "result.json") as temporary:
                temporary.write_text(json.dumps(asdict(result), default=str, indent=2), encoding="utf-8")
            save_machine(self.folder, self.world.size)
        self.accelerator.wait_for_everyone()
        return result
