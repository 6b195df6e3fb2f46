"""A training step in units of plain work on the same machine, measured between its steps."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import torch

from xmc.bench.training_steps import Clock, MeasuredStep, profile_steps
from xmc.bench.units import plain_bag, plain_product
from xmc.distributed.stopwatch import StepProfile, StopWatch
from xmc.training.config import TrainConfig
from xmc.training.step import StepInputs

__all__ = ["StepRatios", "bench_step", "ratios_table"]

LINES = {
    "step": "step, in plain products of its scores",
    "scoring": "scoring, in plain products of its scores",
    "encoding": "encode and replay a token, in plain encodings of one",
    "optimiser": "optimiser, in plain encodings of the step's tokens",
    "optimiser_share": "optimiser, share of the step",
    "cores": "processor time over wall time x threads",
}
SHARES = ("optimiser_share", "cores")


@dataclass(frozen=True)
class StepRatios:
    """What a step costs beside plain work, medians over steps; another machine should find much the same.

    A plain product is ``[B, D] x [D, l]`` in float32, of the queries and the pool of a step. A plain encoding
    of tokens is an embedding bag of the step's queries and of as many labels as its pool has, for a
    transformer one product of their tokens with a matrix ``[D, D]``. Scoring includes the label memory,
    where there is one, whose labels are not in the product.

    Attributes:
        step: The whole step in products; None with a head, which scores no pairs.
        scoring: Forward and backward pass of the scores in products; None likewise.
        encoding: Encoding and the way back through the encoder, of a token, in plain encodings of one.
        optimiser: In plain encodings of the step's tokens.
        optimiser_share: Of the step, 0 to 1.
        cores: Processor time of this process over wall time times torch's threads, over all steps: 1 when
            every thread computes all the time, less when the machine is busy elsewhere, too.
    """

    step: float | None
    scoring: float | None
    encoding: float
    optimiser: float
    optimiser_share: float
    cores: float


def bench_step(
    config: TrainConfig, num_steps: int, *, repeats: int = 3, clock: Clock = time.perf_counter
) -> tuple[StepProfile, StepRatios]:
    """Profile ``num_steps`` steps of ``config`` with plain work of the same size between them.

    Both take turns, and a step is compared with the plain work right after it: other work on the machine
    falls on both alike. The fastest of each would not do: short work finds a quiet moment more often than
    long work.

    Args:
        config: The run; nothing of it is left behind.
        num_steps: Optimiser steps to measure, after a few to warm up.
        repeats: Runs of the plain work after each step.
        clock: ``time.process_time`` for one thread of a machine that is busy elsewhere.

    Raises:
        ConfigError: When the run has fewer steps than that.
    """
    beside = _Beside(repeats, clock)
    profile = profile_steps(config, num_steps, beside.after_step, clock=clock, option="--steps")
    return profile, beside.ratios()


@dataclass
class _Beside:
    """Does plain work after each step, and keeps the ratios of both."""

    repeats: int
    clock: Clock
    steps: list[MeasuredStep] = field(default_factory=list)
    found: list[dict[str, float]] = field(default_factory=list)

    def after_step(self, inputs: StepInputs, step: MeasuredStep) -> None:
        rows, scores = len(step.queries), step.counts.get("scores", 0)
        encode, tokens = _plain_encoding(inputs, step.queries, step.counts["texts"])
        work = {"tokens": encode}
        if scores:
            shapes = [(n, inputs.learner.encoder.dimension) for n in (rows, scores // rows)]
            left, right = (torch.randn(shape, device=inputs.device) for shape in shapes)
            work["product"] = lambda: plain_product(left, right)
        watch = StopWatch(inputs.device, clock=self.clock)
        for _ in range(self.repeats):
            for name, function in work.items():
                with watch.part(name):
                    function()
        # Zero for what a step lacks: with a head the replay, the optimiser where it was skipped.
        parts = defaultdict(float, step.parts)
        # A step's labels are not those that are encoded plainly, and may have more or fewer tokens.
        encoding = watch.seconds["tokens"] / self.repeats * step.counts["tokens"] / tokens
        ratios = {
            "encoding": (parts["encode"] + parts["replay"]) / encoding,
            "optimiser": parts["optimiser"] / encoding,
            "optimiser_share": parts["optimiser"] / step.seconds,
        }
        if scores:
            product = watch.seconds["product"] / self.repeats
            ratios |= {"step": step.seconds / product, "scoring": parts["scoring"] / product}
        self.steps.append(step)
        self.found.append(ratios)

    def ratios(self) -> StepRatios:
        used, wall = sum(s.cpu_seconds for s in self.steps), sum(s.wall_seconds for s in self.steps)
        middle = {name: median(ratios[name] for ratios in self.found) for name in self.found[0]}
        return StepRatios(
            step=middle.get("step"),
            scoring=middle.get("scoring"),
            encoding=middle["encoding"],
            optimiser=middle["optimiser"],
            optimiser_share=middle["optimiser_share"],
            cores=used / (wall * torch.get_num_threads()),
        )


def _plain_encoding(inputs: StepInputs, queries: np.ndarray, texts: int) -> tuple[Callable[[], None], int]:
    """What encodes the step's queries and other labels, ``texts`` in all, plainly; and their tokens."""
    encoder, device = inputs.learner.encoder, inputs.device
    chosen = np.random.default_rng(0).integers(len(inputs.labels), size=max(0, texts - len(queries)))
    sides = (
        (encoder.query_tower, *inputs.queries.gather(queries)),
        (encoder.label_tower, *inputs.labels.gather(chosen)),
    )
    tokens = sum(len(ids) for _, ids, _ in sides)
    tables = [tower.token_table for tower, _, _ in sides]
    if None in tables:
        vectors, matrix = (
            torch.randn(n, encoder.dimension, device=device) for n in (tokens, encoder.dimension)
        )
        return lambda: plain_product(vectors, matrix), tokens
    bags = [
        (table.detach(), torch.from_numpy(ids).to(device), torch.from_numpy(offsets).to(device, torch.int32))
        for table, (_, ids, offsets) in zip(tables, sides, strict=True)
        if table is not None
    ]

    def encode() -> None:
        for bag in bags:
            plain_bag(*bag)

    return encode, tokens


def ratios_table(ratios: StepRatios) -> str:
    """The ratios as a Markdown table."""
    lines = ["| beside plain work | ratio |", "|---|---|"]
    for name, said in LINES.items():
        value = getattr(ratios, name)
        shown = f"{100 * value:.1f} %" if name in SHARES else "" if value is None else f"{value:.2f}"
        lines.append(f"| {said} | {shown} |")
    return "\n".join(lines)
