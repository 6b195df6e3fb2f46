"""Runs a few steps of a recipe and says where their time went; leaves nothing behind."""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from xmc.distributed import record_collectives
from xmc.distributed.stopwatch import StepProfile, StopWatch
from xmc.errors import ConfigError
from xmc.machine import this_machine
from xmc.training.config import TrainConfig
from xmc.training.step import optimise
from xmc.training.trainer import Trainer

__all__ = ["profile_steps"]

WARM_UP = 3


def profile_steps(config: TrainConfig, num_steps: int) -> StepProfile:
    """Train ``num_steps`` steps of ``config`` after a few to warm up, and measure them.

    Nothing is validated or saved; what the run would leave goes to a temporary folder, ``config.run.dir`` is
    not touched. Seconds in collectives are taken out of the parts they happen in.

    Raises:
        ConfigError: When the run has fewer steps than that.
    """
    if num_steps < 1:
        raise ConfigError(f"--profile: expected at least 1 step, got {num_steps}")
    with tempfile.TemporaryDirectory(prefix="xmc-profile-") as folder:
        elsewhere = replace(config.run, dir=str(Path(folder) / "run"), resume=False, trackers=[])
        trainer = Trainer(replace(config, run=elsewhere))
        if trainer.num_steps < WARM_UP + num_steps:
            raise ConfigError(
                f"--profile: expected at most the run's {trainer.num_steps} steps less {WARM_UP} to warm up, "
                f"got {num_steps}: profile fewer steps or train for more epochs"
            )
        with closing(trainer.batches):
            return _measure(trainer, num_steps)


def _measure(trainer: Trainer, num_steps: int) -> StepProfile:
    watch = StopWatch(trainer.device)
    inputs = replace(trainer.prepare_inputs(), watch=watch)
    trainer.encoder.train()
    for step in range(WARM_UP):
        optimise(inputs, step)
    # First steps pay for thread pools, the allocator's pages and the caches of a fresh process.
    watch.seconds.clear()
    watch.counts.clear()
    with record_collectives() as collectives:
        started = time.perf_counter()
        for step in range(WARM_UP, WARM_UP + num_steps):
            optimise(inputs, step)
        seconds = time.perf_counter() - started
    parts = dict(watch.seconds)
    if collectives.num_calls:
        # It is nothing but collectives, which have a line of their own.
        parts.pop("gradient all-reduce", None)
        parts["collectives"] = collectives.seconds
    machine = this_machine()
    return StepProfile(
        num_steps=num_steps,
        seconds=seconds,
        parts=parts,
        collective_bytes=collectives.num_bytes,
        rows=num_steps * trainer.batches.sampler.batch_size * trainer.config.training.accumulation,
        texts=watch.counts["texts"],
        scores=watch.counts.get("scores", 0),
        peak_bytes=machine.peak_device_bytes or machine.peak_memory_bytes or 0,
    )
