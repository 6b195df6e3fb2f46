"""The trainer: composes data, encoder, batches, what is learned, callbacks and the run folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import is_initialized
from tqdm.auto import tqdm

from xmc.data import Dataset, train_validation_split
from xmc.distillation.file import TeacherFile
from xmc.distributed import current_world, from_main, start_missing_processes, watch_ranks
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError
from xmc.files import check_space
from xmc.machine import save_machine
from xmc.nested import flat
from xmc.objectives.distillation.loss import build_discriminator, with_distillation
from xmc.objectives.objective import Loss
from xmc.objectives.plain import PlainLoss
from xmc.objectives.state import LossStates
from xmc.random_streams import Stream, torch_seed
from xmc.training.batches.batches import Batches, build_batches
from xmc.training.batches.tokens import TrainingTexts
from xmc.training.callbacks.callback import Callback
from xmc.training.callbacks.callbacks import Callbacks
from xmc.training.callbacks.chosen import chosen_callbacks
from xmc.training.callbacks.run_state import RunState
from xmc.training.callbacks.skipped_steps import SkippedSteps
from xmc.training.config import TrainConfig, check_objective, with_encoder_choices, with_scale_rate
from xmc.training.given import Given
from xmc.training.inputs import step_inputs
from xmc.training.learned.learner import build_learner
from xmc.training.loop import GO_ON, Loop
from xmc.training.memory_limit import MicroBatchLimit
from xmc.training.objective import check_cosines, configured_objective, over_dimensions
from xmc.training.objective_checks import check_masked, check_steps
from xmc.training.run.allocator import keep_freed_memory
from xmc.training.run.changes import check_changes, read_changes, record_changes
from xmc.training.run.checkpoint import CHECKPOINTS, Checkpointer
from xmc.training.run.deterministic import compute_deterministically
from xmc.training.run.folder import open_run_folder, save_config
from xmc.training.run.interrupt import InterruptGuard
from xmc.training.run.metrics_log import MetricsLog
from xmc.training.run.models import RunModels
from xmc.training.run.origins import origins
from xmc.training.run.pace import Pace
from xmc.training.run.precision import autocast_in
from xmc.training.run.replicated import check_replicated
from xmc.training.run.result import TrainResult, save_result
from xmc.training.run.trackers import check_trackers, chosen_trackers, start_trackers
from xmc.training.step import StepInputs
from xmc.training.validation import Validator

if TYPE_CHECKING:
    import numpy as np
    import scipy.sparse as sp
    from sentence_transformers import SentenceTransformer

__all__ = ["TrainResult", "Trainer", "train"]


def train(
    config: TrainConfig,
    *,
    objective: Loss | PlainLoss | None = None,
    callbacks: Sequence[Callback] = (),
    dataset: Dataset | None = None,
    encoder: DualEncoder | SentenceTransformer | None = None,
    go_on: str = GO_ON,
) -> TrainResult:
    """Train as ``config`` says; see :class:`Trainer`.

    Raises:
        RankError: When another rank died, hung or failed.
    """
    start_missing_processes()
    PartialState(cpu=not torch.accelerator.is_available())  # joins the ranks
    with watch_ranks(current_world(), config.run.rank_timeout):
        trainer = Trainer(
            config,
            objective=objective,
            callbacks=callbacks,
            dataset=dataset,
            encoder=encoder,
            go_on=go_on,
        )
        return trainer.fit()


class Trainer:
    """Trains a dual encoder; leaves ``model/`` (best), ``last/``, metrics and checkpoints in its folder.

    Under ``accelerate launch`` every rank makes one; ranks share the work and agree on every batch. What is
    handed over stands in ``config`` as given by a script, since a recipe cannot make it again.

    Args:
        config: The run.
        objective: In place of ``config.objective.name``: an objective, or a plain function of queries, labels
            and positives.
        callbacks: Called after those that ``config`` names.
        dataset: Opened from ``config.data.path`` when None.
        encoder: Built from ``config.encoder`` when None. Every rank gives an equal one.
        go_on: What a run that is interrupted says to do; "" where the caller says it.

    Raises:
        XMCError: When the configuration, the data or the folder cannot work.
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        objective: Loss | PlainLoss | None = None,
        callbacks: Sequence[Callback] = (),
        dataset: Dataset | None = None,
        encoder: DualEncoder | SentenceTransformer | None = None,
        go_on: str = GO_ON,
    ) -> None:
        start_missing_processes()
        self.go_on = go_on
        given = Given(objective, callbacks, dataset, encoder)
        config = given.shown_in(config)
        check_trackers(config.run.trackers)
        if config.training.deterministic:
            compute_deterministically()
        self.dataset = dataset or Dataset.load(config.data.path)
        self._join_ranks(config)
        torch.manual_seed(torch_seed(config.seed, Stream.INITIAL_WEIGHTS))
        discriminator = build_discriminator(config.distillation, config.seed)
        main = configured_objective(config.objective, given.loss, seed=config.seed)
        self.objective = with_distillation(main, config.distillation, discriminator)
        check_objective(config, self.objective.facts)
        check_steps(self.objective, config, self.device)
        config = with_scale_rate(config, self.objective.facts)
        texts = TrainingTexts(self.dataset, config.data)
        self.encoder = given.dual_encoder or DualEncoder.build(config.encoder, texts)
        if config.encoder.frozen_labels:
            self.encoder.freeze_labels()
        check_cosines(config.objective, self.encoder)
        self.objective = over_dimensions(self.objective, config.encoder, self.encoder)
        self.config = config = with_encoder_choices(config, self.encoder.kind)
        relevance = self.dataset.relevance("train")
        rows, self.validation_rows = train_validation_split(relevance, config.validation.rows, config.seed)
        self.batches = self._build_batches(relevance, rows)
        check_masked(self.objective, self.batches.masked is not None)
        whole = self.batches.num_steps(config.training.epochs, config.training.accumulation)
        self.num_steps = min(whole, config.training.max_steps or whole)
        self.batches.plan(self.num_steps * config.training.accumulation)
        label_texts = self.dataset.texts("labels", config.data.label_fields)
        points = relevance[rows].getnnz(axis=0)
        self.learner = build_learner(
            config, self.encoder, label_texts, points, self.device, self.world, discriminator
        )
        if config.training.compile:
            for tower in self.encoder.towers:
                tower.compile_layers()
        self.validator = Validator(self.dataset, self.validation_rows, self.world, self.device, config)
        self.changes = check_changes(config)
        self.folder = Path(config.run.dir)
        with ExitStack() as locks:  # what fails below gives the folder back
            from_main(partial(self._open_folder, locks), self.world)
            self._prepare_run(given, epochs=config.training.epochs * (self.num_steps / whole))
            self.locks = locks.pop_all()

    def _join_ranks(self, config: TrainConfig) -> None:
        """Find the ranks and this one's device, and in what precision it computes."""
        self.accelerator = Accelerator(
            cpu=not torch.accelerator.is_available(),
            # Autocast is ours, and what another run or library has set up is left as it is.
            mixed_precision=None if is_initialized() else "no",
            log_with=chosen_trackers(config.run),
            project_dir=config.run.dir,
        )
        check_replicated(self.accelerator.distributed_type)
        self.world, self.device = current_world(), self.accelerator.device
        self.autocast = autocast_in(config.training.precision, self.device)
        if self.device.type == "cpu":
            keep_freed_memory()

    def fit(self) -> TrainResult:
        """Train to the last step and save.

        Raises:
            KeyboardInterrupt: After Ctrl-C, when the running step is done and a checkpoint is written.
            XMCError: When a callback fails; the text names it.
        """
        with watch_ranks(self.world, self.config.run.rank_timeout), self.locks:
            return self._fit()

    def _build_batches(self, relevance: sp.csr_matrix, rows: np.ndarray) -> Batches:
        """Those of the training rows among ``rows``, of the relevance [N, L] of all."""
        config = self.config
        return build_batches(
            config.negatives,
            relevance,
            rows,
            batch_size=config.training.batch_size,
            label_queries=config.data.num_label_queries(config.training.batch_size),
            co_labels=config.data.co_labels,
            co_label_prior=config.data.co_label_prior,
            label_query_weight=config.data.label_query_weight,
            label_query_until=config.data.label_query_until,
            dimension=self.encoder.dimension,
            seed=config.seed,
            world=self.world,
            device=self.device,
            folder=Path(config.run.dir),
            objective=self.objective.facts,
            filtered=self.dataset.filter("train"),
            teachers=TeacherFile.of(config.distillation.teachers, self.dataset),
        )

    def _fit(self) -> TrainResult:
        inputs = self.prepare_inputs()
        step = self._resume() if self.config.run.resume else 0
        if self.world.is_main:
            record_changes(self.folder, step, self.changes)
            # What made room for the run is no part of it: who goes on with its configuration keeps it.
            recorded = replace(self.config, run=replace(self.config.run, overwrite=False))
            save_config(recorded, self.folder / "config.yaml")
        with (
            closing(self.batches),
            closing(self._open_log()) as log,
            InterruptGuard(self.world, self.device) as guard,
        ):
            run = RunState(
                config=self.config,
                num_steps=self.num_steps,
                step=step,
                first=step,
                world=self.world,
                device=self.device,
                dataset=self.dataset,
                learner=self.learner,
                folder=self.folder,
                log=log,
                pace=Pace(),
            )
            self.models.saved = partial(self.callbacks.on_save, run)
            with self.callbacks.around(run):
                started = time.perf_counter()
                loop = Loop(inputs, run, self.callbacks, self.validator, self.checkpointer, guard, self.go_on)
                stopped = loop()
                return self._finish(run, time.perf_counter() - started, stopped)

    def _open_folder(self, locks: ExitStack) -> None:
        locks.callback(open_run_folder(self.config.run).release)

    def _prepare_run(self, given: Given, epochs: float) -> None:
        """What needs the run's folder: models, callbacks, checkpoints."""
        config = self.config
        self.models = RunModels(self.folder, config, self.dataset, self.learner, self.world)
        self.models.calibrated = self.validator.calibration
        self.callbacks = Callbacks(
            chosen_callbacks(config, self.batches, self.models, epochs, given.callbacks)
        )
        self.limit = MicroBatchLimit(self.world.rank)
        states = LossStates(self.objective)
        self.checkpointer = Checkpointer(
            self.folder / CHECKPOINTS,
            self.learner.modules,
            self.learner.optimisers,
            {
                "batches": self.batches,
                "callbacks": self.callbacks,
                "micro_batches": self.limit,
                **({"objective": states} if states else {}),
            },
            self.world,
            config.run.keep_checkpoints,
        )
        from_main(self._check_space, self.world)
        self.plugins = origins(config, given.named())

    def _check_space(self) -> None:
        """Refuse to begin what the disk has no room for: models, and a checkpoint where any is due."""
        run, training = self.config.run, self.config.training
        needed = self.models.num_bytes() * (run.keep_best + 1)
        if training.checkpoint_every or training.checkpoint_minutes:
            # The state of AdamW is two numbers for each that is trained, and comes with the first step.
            trained = sum(p.nbytes for p in self.encoder.parameters() if p.requires_grad)
            needed += self.checkpointer.num_bytes() + 2 * trained
        check_space(self.folder, needed)

    def prepare_inputs(self) -> StepInputs:
        """Everything a step needs: the tokens are made where they are not on disk yet."""
        return step_inputs(
            self.config,
            self.dataset,
            self.learner,
            self.batches,
            self.objective,
            num_steps=self.num_steps,
            world=self.world,
            accelerator=self.accelerator,
            autocast=self.autocast,
            limit=self.limit,
        )

    def _open_log(self) -> MetricsLog:
        start_trackers(self.accelerator, self.config.run, flat(asdict(self.config)))
        return MetricsLog(self.folder / "metrics.jsonl", self.accelerator)

    def _resume(self) -> int:
        """Load the newest checkpoint and return its step, 0 when there is none.

        Raises:
            ConfigError: When it is of a later step than the last one.
        """
        step = self.checkpointer.load_latest()
        if step is not None and step > self.num_steps:
            raise ConfigError(
                f"run.resume: expected at least the {step} steps that the run in {self.folder} has taken, "
                f"got {self.num_steps} in all: raise training.epochs or training.max_steps, or lower "
                "training.accumulation"
            )
        if self.world.is_main:
            MetricsLog.truncate(self.folder / "metrics.jsonl", -1 if step is None else step)
            tqdm.write(f"resumed after step {step}" if step else "no checkpoint yet: starting over")
        return step or 0

    def _finish(self, run: RunState, seconds: float, stopped: str | None) -> TrainResult:
        self.models.finish(run.step)
        best = self.models.kept[0]
        result = TrainResult(
            model_path=self.models.best_path,
            last_path=self.models.last_path,
            num_steps=run.step,
            best_step=best.step,
            validation=best.metrics,
            seconds=seconds,
            rows_per_second=run.pace.rows_per_second,
            kept=self.models.listed(),
            stopped=stopped,
            skipped_steps=sum(c.total for c in self.callbacks.all if isinstance(c, SkippedSteps)),
            plugins=self.plugins,
            changes=read_changes(self.folder),
        )
        if self.world.is_main:
            save_result(result, self.folder)
            save_machine(self.folder, self.world.size)
            self.models.prune()
        self.accelerator.wait_for_everyone()
        return result
