"""What training by a recipe costs on paper, from the counts of a data set: no data, no weights, no run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from xmc.bench.known_towers import tower_shape
from xmc.bench.step_cost import FLOAT, StepCost, step_cost
from xmc.bench.step_shape import StepShape
from xmc.bench.step_time import Rates, step_seconds
from xmc.encoders.micro_batch_size import LEAST_GPU_TOKENS
from xmc.errors import ConfigError
from xmc.scoring import DEFAULT_MEMORY_BYTES
from xmc.training.config import TrainConfig

__all__ = ["DataCounts", "RecipeCost", "cost_table", "recipe_cost", "recipe_shape"]

_STATIC_TOKENS = 1 << 20  # a bag of tokens leaves so little for the way back that a batch is one micro-batch
_MATRIX_TOKENS = LEAST_GPU_TOKENS  # a card with memory to spare takes more, and as much memory more


@dataclass(frozen=True)
class DataCounts:
    """What of a data set decides the cost.

    Attributes:
        rows: N, training rows.
        labels: L.
        labels_per_row: Mean of the training rows.
    """

    rows: int
    labels: int
    labels_per_row: float

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, counts that no data set has."""
        if self.rows < 1 or self.labels < 1 or not 0 < self.labels_per_row <= self.labels:
            raise ConfigError(f"expected at least one row, one label, and 0 to L labels a row, got {self}")


@dataclass(frozen=True)
class RecipeCost:
    """A recipe's cost on one world.

    Attributes:
        ranks: Cards.
        steps: Of an epoch.
        epochs: Of the recipe.
        pool: Labels that a step scores with a gradient.
        step: Operations, bytes and collectives of a step of one rank.
        seconds: Of a step, by part, at the rates that were stated.
    """

    ranks: int
    steps: float
    epochs: float
    pool: int
    step: StepCost
    seconds: dict[str, float]

    @property
    def hours(self) -> float:
        """Of all epochs; without validation, the host's work and latency."""
        return sum(self.seconds.values()) * self.steps * self.epochs / 3600

    @property
    def gigabytes(self) -> float:
        """Of a card, at most: parts that are not all held at the same time."""
        return sum(self.step.memory.values()) / 1e9


def recipe_shape(config: TrainConfig, counts: DataCounts, ranks: int = 1) -> StepShape:
    """The shapes of a step, every text as long as the recipe reads.

    Raises:
        ConfigError: For what the paper has no formulas for: a head, mined labels, another encoder.
    """
    negatives, training, encoder = config.negatives, config.training, config.encoder
    for option, asked in (
        ("head.kind", config.head.kind != "none"),
        ("negatives.mined", negatives.mined.count > 0),
        ("negatives.tempered", negatives.tempered.count > 0),
        ("data.label_queries", config.data.label_queries > 0),
        ("distillation", config.distillation.enabled),
    ):
        if asked:
            raise ConfigError(
                f"{option}: expected a recipe without it, which the cost on paper does not know"
            )
    tower = tower_shape(config.encoder)
    batch = min(training.batch_size, counts.rows)
    positives = (
        counts.labels_per_row
        if negatives.positives is None
        else min(negatives.positives, counts.labels_per_row)
    )
    memory, given = negatives.memory, config.scoring.memory_mb
    return StepShape(
        tower,
        batch,
        _pool(config, counts, batch, positives),
        positives=round(batch * positives),
        query_tokens=encoder.query_length,
        label_tokens=encoder.label_length,
        ranks=ranks,
        labels=counts.labels,
        memory=min(memory.sample or counts.labels, counts.labels) if memory.enabled else 0,
        refresh=memory.refresh if memory.enabled else 0,
        score_parameters=1 + (counts.labels if config.objective.label_offsets else 0),
        residuals=config.residuals.enabled,
        kept_scores=DEFAULT_MEMORY_BYTES if given is None else given << 20,
        micro_batch_tokens=training.micro_batch_tokens
        or (_MATRIX_TOKENS if tower.weights else _STATIC_TOKENS),
    )


def recipe_cost(
    config: TrainConfig, counts: DataCounts, ranks: int = 1, rates: Rates | None = None
) -> RecipeCost:
    """What a recipe costs on ``ranks`` cards, by default at 40 % of an H100's peaks.

    Raises:
        ConfigError: As `recipe_shape`.
    """
    shape = recipe_shape(config, counts, ranks)
    cost, rates = step_cost(shape), rates or Rates()
    steps = counts.rows / shape.batch / config.training.accumulation
    seconds = step_seconds(cost, rates)
    scored = {name: seconds[name] * config.training.accumulation for name in seconds}
    again = _clusterings(config)
    if again:
        # A clustering encodes every query; a step's share of it. A bag of tokens is bounded by memory.
        flops = again * shape.tower.forward(shape.share(counts.rows), shape.query_tokens)
        spent = flops / rates.encoding if shape.tower.weights else FLOAT * flops / rates.memory
        scored["clusters"] = spent / (steps * config.training.epochs)
    return RecipeCost(ranks, steps, config.training.epochs, shape.pool, cost, scored)


def _clusterings(config: TrainConfig) -> int:
    """How often every query is encoded anew for batches of neighbours, over a run."""
    clusters = config.negatives.clusters
    if clusters.largest < 2 or clusters.vectors == "kept":
        return 0
    return len(range(clusters.start_epoch, math.ceil(config.training.epochs), clusters.refresh_every))


def cost_table(config: TrainConfig, counts: DataCounts, worlds: Sequence[int] = (1, 8)) -> str:
    """Markdown: a row for each number of cards, at float32 and, in parentheses, bf16 rates of scoring."""
    rates = Rates()
    fast = replace(rates, scoring=rates.encoding)
    lines = [
        "| cards | steps an epoch | labels a step | PFLOP a step | GB a card, at most | step | epoch | "
        f"{config.training.epochs:g} epochs |",
        "|" + "---|" * 8,
    ]
    for ranks in worlds:
        one, other = (recipe_cost(config, counts, ranks, rate) for rate in (rates, fast))
        flops = sum(one.step.flops.values()) * ranks / 1e15
        step = sum(one.seconds.values())
        epoch, whole = (
            f"{_told(one.hours / share)} ({_told(other.hours / share)})" for share in (one.epochs, 1)
        )
        lines.append(
            f"| {ranks} | {one.steps:,.0f} | {one.pool:,} | {flops:.3g} | {one.gigabytes:.1f} | "
            f"{_told(step / 3600)} | {epoch} | {whole} |"
        )
    return "\n".join(lines)


def _told(hours: float) -> str:
    for unit, size in (("h", 1.0), ("min", 1 / 60), ("s", 1 / 3600)):
        if hours >= size:
            return f"{hours / size:.3g} {unit}"
    thousandths = hours * 3.6e6
    return f"{thousandths:.0f} ms" if thousandths >= 10 else f"{thousandths:.2g} ms"


def _pool(config: TrainConfig, counts: DataCounts, batch: int, positives: float) -> int:
    """Labels of a step; a batch's distinct positives as if all labels had equally many rows."""
    if config.negatives.mode == "all":
        return counts.labels
    # A label of c rows is missed when each of them is outside the batch; concave in c, so an upper bound.
    brought: float = 1 - (1 - batch / counts.rows) ** (counts.rows * positives / counts.labels)
    drawn = min(config.negatives.uniform / counts.labels, 1.0)
    return max(1, round(counts.labels * (1 - (1 - drawn) * (1 - brought))))
