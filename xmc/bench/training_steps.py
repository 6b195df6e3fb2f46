"""Runs a few steps of a recipe and says where their time went; leaves nothing behind."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from xmc.data import TokenRows
from xmc.distributed import record_collectives
from xmc.distributed.stopwatch import StepProfile, StopWatch
from xmc.errors import ConfigError
from xmc.machine import this_machine
from xmc.objectives.catalogue import ObjectiveFacts
from xmc.objectives.objective import Loss, Reduction
from xmc.scoring import ScoreInputs
from xmc.training.config import TrainConfig
from xmc.training.step import StepInputs, optimise
from xmc.training.trainer import Trainer

__all__ = ["AfterStep", "Clock", "MeasuredStep", "profile_steps"]

WARM_UP = 3


@dataclass(frozen=True)
class MeasuredStep:
    """What one step cost this rank.

    Attributes:
        seconds: By the clock that was asked for.
        wall_seconds: On the wall.
        cpu_seconds: Processor time of all threads of the process.
        parts: Seconds by part, by that clock.
        counts: Texts and their tokens encoded, scores made.
        collective_bytes: Put into collectives.
        queries: [n], the training queries of its batches.
    """

    seconds: float
    wall_seconds: float
    cpu_seconds: float
    parts: dict[str, float]
    counts: dict[str, int]
    collective_bytes: int
    queries: np.ndarray


AfterStep = Callable[[StepInputs, MeasuredStep], None]
Clock = Callable[[], float]


def profile_steps(
    config: TrainConfig,
    num_steps: int,
    after_step: AfterStep | None = None,
    *,
    clock: Clock = time.perf_counter,
    option: str = "--profile",
) -> StepProfile:
    """Train ``num_steps`` steps of ``config`` after a few to warm up, and measure them.

    ``after_step`` is called after each of them, and is not measured; ``option`` is what errors call them.
    Nothing is validated or saved; what the run would leave goes to a temporary folder, ``config.run.dir`` is
    not touched. Seconds in collectives are taken out of the parts they happen in.

    Raises:
        ConfigError: When the run has fewer steps than that.
    """
    if num_steps < 1:
        raise ConfigError(f"{option}: expected at least 1 step, got {num_steps}")
    with tempfile.TemporaryDirectory(prefix="xmc-profile-") as folder:
        elsewhere = replace(config.run, dir=str(Path(folder) / "run"), resume=False, trackers=[])
        trainer = Trainer(replace(config, run=elsewhere))
        if trainer.num_steps < WARM_UP + num_steps:
            raise ConfigError(
                f"{option}: expected at most the run's {trainer.num_steps} steps less {WARM_UP} to warm up, "
                f"got {num_steps}: profile fewer steps or train for more epochs"
            )
        with closing(trainer.batches):
            return _measure(trainer, num_steps, after_step, clock)


def _measure(trainer: Trainer, num_steps: int, after_step: AfterStep | None, clock: Clock) -> StepProfile:
    inputs = trainer.prepare_inputs()
    trainer.encoder.train()
    # First steps pay for thread pools, the allocator's pages and the caches of a fresh process.
    for step in range(WARM_UP):
        optimise(inputs, step)
    steps = []
    for step in range(WARM_UP, WARM_UP + num_steps):
        steps.append(_measured(inputs, step, clock))
        if after_step is not None:
            after_step(inputs, steps[-1])
    parts, counts = Counter[str](), Counter[str]()
    for measured in steps:
        parts.update(measured.parts)
        counts.update(measured.counts)
    machine = this_machine()
    return StepProfile(
        num_steps=num_steps,
        seconds=sum(measured.seconds for measured in steps),
        parts=dict(parts),
        collective_bytes=sum(measured.collective_bytes for measured in steps),
        rows=num_steps * trainer.batches.sampler.batch_size * trainer.config.training.accumulation,
        texts=counts["texts"],
        scores=counts["scores"],
        peak_bytes=machine.peak_device_bytes or machine.peak_memory_bytes or 0,
    )


def _measured(inputs: StepInputs, step: int, clock: Clock) -> MeasuredStep:
    watch, clocks = StopWatch(inputs.device, clock=clock), (clock, time.perf_counter, time.process_time)
    counts = Counter[str]()
    measured = replace(
        inputs,
        watch=watch,
        queries=_CountedRows(inputs.queries, counts),
        labels=_CountedRows(inputs.labels, counts),
        objective=_CountedLoss(inputs.objective, counts),
    )
    with record_collectives() as collectives:
        started = [read() for read in clocks]
        result = optimise(measured, step)
        seconds, wall, used = (read() - start for read, start in zip(clocks, started, strict=True))
    parts = watch.seconds
    if collectives.num_calls:
        # It is nothing but collectives, which have a line of their own.
        parts.pop("gradient all-reduce", None)
        parts["collectives"] = collectives.seconds
    return MeasuredStep(seconds, wall, used, parts, counts, collectives.num_bytes, result.queries)


@dataclass(frozen=True)
class _CountedRows:
    """Tokens, and how many texts and tokens were taken of them."""

    tokens: TokenRows
    counts: Counter[str]

    def __len__(self) -> int:
        return len(self.tokens)

    def gather(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`TokenRows`."""
        ids, offsets = self.tokens.gather(rows)
        self.counts.update(texts=len(rows), tokens=len(ids))
        return ids, offsets


@dataclass(frozen=True)
class _CountedLoss:
    """An objective, and how many scores it was asked for on this rank."""

    objective: Loss
    counts: Counter[str]

    @property
    def facts(self) -> ObjectiveFacts:
        """See :class:`Loss`."""
        return self.objective.facts

    def __call__(self, inputs: ScoreInputs, reduction: Reduction = "mean") -> Tensor:
        """See :class:`Loss`."""
        self.counts.update(scores=len(inputs.queries) * len(inputs.labels))
        return self.objective(inputs, reduction)
