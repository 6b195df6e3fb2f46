"""A training step in units of plain work on the same machine, measured between its steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

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
    """What a step costs beside plain work, each at its fastest; another machine should find much the same.

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

    Both take turns, so that other work on the machine falls on both alike; of each the fastest counts.

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
    """Does plain work after each step, and keeps what both took."""

    repeats: int
    clock: Clock
    steps: list[MeasuredStep] = field(default_factory=list)
    per_score: list[float] = field(default_factory=list)
    per_token: list[float] = field(default_factory=list)

    def after_step(self, inputs: StepInputs, step: MeasuredStep) -> None:
        self.steps.append(step)
        rows = len(step.queries)
        labels = step.counts["scores"] // rows if step.counts.get("scores") else 0
        encode, tokens = _plain_encoding(inputs, step.queries, step.counts["texts"])
        work = {"tokens": encode}
        if labels:
            dimension = inputs.learner.encoder.dimension
            left, right = (torch.randn(n, dimension, device=inputs.device) for n in (rows, labels))
            work["product"] = lambda: plain_product(left, right)
        for _ in range(self.repeats):
            watch = StopWatch(inputs.device, clock=self.clock)
            for name, function in work.items():
                with watch.part(name):
                    function()
            self.per_token.append(watch.seconds["tokens"] / tokens)
            if labels:
                self.per_score.append(watch.seconds["product"] / (rows * labels))

    def ratios(self) -> StepRatios:
        encode = _fastest(self.steps, ("encode", "replay"), "tokens")
        optimiser = _fastest(self.steps, ("optimiser",), "tokens")
        step = scoring = None
        if self.per_score:
            scoring = _fastest(self.steps, ("scoring",), "scores") / min(self.per_score)
            step = min(s.seconds / s.counts["scores"] for s in self.steps) / min(self.per_score)
        fastest = min(s.seconds for s in self.steps)
        used, wall = sum(s.cpu_seconds for s in self.steps), sum(s.wall_seconds for s in self.steps)
        return StepRatios(
            step=step,
            scoring=scoring,
            encoding=encode / min(self.per_token),
            optimiser=optimiser / min(self.per_token),
            optimiser_share=min(s.parts["optimiser"] for s in self.steps) / fastest,
            cores=used / (wall * torch.get_num_threads()),
        )


def _fastest(steps: Sequence[MeasuredStep], parts: Sequence[str], unit: str) -> float:
    """Seconds of some parts for one unit of a count, of the step where that is least."""
    return min(sum(step.parts.get(part, 0.0) for part in parts) / step.counts[unit] for step in steps)


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
