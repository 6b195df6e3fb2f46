"""The collectives of a training step, in its order, from its shapes alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xmc.bench.step_shape import StepShape

__all__ = ["Collective", "step_collectives"]

FLOAT = 4


@dataclass(frozen=True)
class Collective:
    """One call: what this rank puts in, as :func:`xmc.distributed.record_collectives` counts it."""

    name: str
    kind: Literal["gather", "reduce", "scatter"]
    bytes: int

    def sent(self, ranks: int) -> float:
        """Bytes that a rank sends of ``x``, for W ranks.

        In rings ``(W - 1) x`` for a gather and ``2 (W - 1) / W x`` for an all-reduce; for a reduce-scatter
        ``(W - 1) / W x``, in a ring or to each rank its part.
        """
        # A gather hands on W - 1 parts; an all-reduce is a reduce-scatter and a gather, both of W-ths.
        return (
            self.bytes * (ranks - 1) * {"gather": 1.0, "scatter": 1 / ranks, "reduce": 2 / ranks}[self.kind]
        )


def step_collectives(shape: StepShape) -> list[Collective]:
    """Every call of one step; none on one rank.

    A memory scores its labels beside the pool's, which repeats the statistic's calls; the all-reduce of its
    pairs, of which there are none, has no bytes. The scores of the listed pairs are float64 there.
    """
    if shape.ranks == 1:
        return []
    row, pairs = FLOAT * shape.tower.dimension, shape.positives + shape.certain

    def rows(name: str, count: int) -> Collective:
        # Shards are padded to the largest.
        return Collective(name, "gather", row * -(-count // shape.ranks))

    def numbers(name: str, count: int, size: int = FLOAT) -> Collective:
        return Collective(name, "reduce", size * count)

    def of_rows(name: str) -> list[Collective]:
        # The log partition function merges by maximum and sum: two all-reduces.
        return [numbers(f"{name}: row maxima", shape.batch), numbers(f"{name}: row sums", shape.batch)]

    before, memory, after = [], [], []
    if shape.memory:
        before = [rows("refreshed labels", shape.refresh)] if shape.refresh else []
        memory = [numbers("listed pairs", pairs, 8), numbers("memory: no pairs", 0), *of_rows("memory")]
        after = [rows("pool to keep", shape.pool)]
    scoring = [numbers("pool: pairs", pairs), *of_rows("pool"), *memory]
    back = [Collective("gradient of the queries", "scatter", row * shape.batch)]
    halvings = [numbers("halvings of the micro-batches", 1, 8)]
    residuals = [rows("gradient of the residuals", shape.pool)] if shape.residuals else []
    dense = shape.tower.dense_parameters + shape.score_parameters
    last = [numbers("gradient of the parameters", dense)] if dense else []
    # Which rows any rank touched, a byte for each there is; then the sums of those.
    for table, touched in zip(shape.tower.token_rows, shape.touched_rows, strict=True):
        last += [
            numbers("touched tokens", table, 1),
            numbers("gradient of the tokens", touched * shape.tower.dimension),
        ]
    return [*before, rows("queries", shape.batch), *scoring, *back, *halvings, *residuals, *after, *last]
