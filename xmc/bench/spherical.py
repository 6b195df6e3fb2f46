"""What a step on an output layer costs: a softmax over all labels beside the factored head."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from xmc.bench.published import PUBLISHED
from xmc.bench.resources import peak_extra_bytes
from xmc.heads import FactoredHead, StabilityPolicy
from xmc.heads.policy import Due, stabilise
from xmc.heads.stabilise import moment_drift, unfactor
from xmc.objectives import softmax
from xmc.progress import Bar
from xmc.scoring import Positives, as_positives

__all__ = ["HeadCase", "bench_spherical", "growth_lines", "head_table"]

POSITIVES_PER_QUERY = 5
SCALE = 20.0
LONG_SECONDS = 5.0  # a softmax step that takes longer is run twice in all
DENSE_COPIES = 4  # score matrices [B, L] that plain autograd holds at its peak
DRAWN = 16  # batches, so that a step finds the rows it needs in memory and not in a cache


@dataclass(frozen=True)
class HeadCase:
    """One line: one shape of table and batch.

    Attributes:
        num_labels: L.
        dimension: D.
        num_queries: B.
        step_seconds: The factored step: loss, gradient of the queries, update of the table; the median.
        stabilising_seconds: What stabilising costs per step, by the policy's own periods.
        extra_bytes: Peak memory of a factored step beyond the head, or None where it cannot be read.
        dense_seconds: The same with a softmax loss, plain autograd on all scores and an update of all rows;
            the fastest; None where it does not fit.
        tiled_seconds: The same with :func:`xmc.objectives.softmax`, which holds no score matrix.
        repairs: Steps, of those measured, after which U had to be mended before its time.
    """

    num_labels: int
    dimension: int
    num_queries: int
    step_seconds: float
    stabilising_seconds: float
    extra_bytes: int | None
    dense_seconds: float | None
    tiled_seconds: float | None
    repairs: int

    @property
    def seconds(self) -> float:
        """The factored step with its share of stabilising."""
        return self.step_seconds + self.stabilising_seconds

    @property
    def speedup(self) -> float | None:
        """Over the faster of the softmax steps."""
        measured = [time for time in (self.dense_seconds, self.tiled_seconds) if time is not None]
        return min(measured) / self.seconds if measured else None


def bench_spherical(
    num_labels: Sequence[int],
    dimensions: Sequence[int] = (256,),
    num_queries: Sequence[int] = (128,),
    *,
    objective: str = "spherical_z_loss",
    steps: int = 50,
    repeats: int = 3,
    memory_bytes: int = 14 << 30,
    progress: bool = False,
) -> list[HeadCase]:
    """Measure every shape; tables are float32, positives five per query and drawn uniformly.

    Args:
        num_labels: Values of L.
        dimensions: Values of D.
        num_queries: Values of B.
        objective: The head's loss, the name of one that takes moments.
        steps: Factored steps, of which the median counts; at least 1.
        repeats: Softmax steps, of which the fastest counts, after one that warms up.
        memory_bytes: What the process may take; where a softmax step would take more it is left out.
        progress: Show a bar on stderr.
    """
    cases = []
    shapes = [(labels, dimension) for dimension in dimensions for labels in num_labels]
    with Bar(len(shapes) * len(num_queries), "measuring", "shape", shown=progress) as bar:
        for labels, dimension in shapes:
            table = _normalised(labels, dimension, seed=0)
            # Before the head takes the table over and changes it in place.
            softmaxes = [_softmax_seconds(table, queries, repeats, memory_bytes) for queries in num_queries]
            head = FactoredHead(table, objective, policy=StabilityPolicy())
            for queries, (dense, tiled) in zip(num_queries, softmaxes, strict=True):
                cases.append(_measure(head, queries, steps, dense, tiled))
                bar.update()
            del head, table
    return sorted(cases, key=lambda case: (case.dimension, case.num_queries, case.num_labels))


def _measure(
    head: FactoredHead, num_queries: int, steps: int, dense: float | None, tiled: float | None
) -> HeadCase:
    batches = _batches(num_queries, head.num_labels, head.dimension)
    for _ in range(3):  # warms up
        head.step(*next(batches), 1.0)
    extra = peak_extra_bytes(lambda: head.step(*next(batches), 1.0))
    head.records.clear()
    seconds = []
    for _ in range(steps):
        batch = next(batches)
        started = time.perf_counter()
        head.step(*batch, 1.0)
        seconds.append(time.perf_counter() - started)
    repairs = sum(record.rebalanced > 0 or record.unfactored for record in head.records)
    step, stabilising = statistics.median(seconds), _stabilising_seconds(head)
    shape = head.num_labels, head.dimension, num_queries
    return HeadCase(*shape, step, stabilising, extra, dense, tiled, repairs)


def _stabilising_seconds(head: FactoredHead) -> float:
    """What the policy's periods come to, per step: each part timed once and divided by its period."""
    policy, state = head.policy, head.state
    check = _timed(lambda: stabilise(state, policy, Due(True, False, False), 1))
    probe = _timed(lambda: moment_drift(state))
    fold = _timed(lambda: unfactor(state))
    # unfactor has changed the factor in place without the head: it starts anew from what is there.
    head.restart(head.factor)
    probe_every, unfactor_every = policy.periods(head.num_labels)
    # A fold is followed by a probe of its own.
    return check / policy.check_every + probe / probe_every + (fold + probe) / unfactor_every


def _softmax_seconds(
    table: Tensor, num_queries: int, repeats: int, memory_bytes: int
) -> tuple[float | None, float | None]:
    """The fastest step of a softmax head: plain autograd, and tiled; None where it would not fit."""
    batches = _batches(num_queries, *table.shape)
    both = 2 * 4 * table.numel()  # the table and its gradient
    found: list[float | None] = []
    for loss, bytes_needed in (
        (PUBLISHED["softmax"], both + DENSE_COPIES * 4 * num_queries * len(table)),
        (softmax, both + (512 << 20)),
    ):
        if bytes_needed > memory_bytes:
            found.append(None)
        else:
            found.append(_fastest(partial(_softmax_step, loss, table, batches), repeats))
    return found[0], found[1]


def _softmax_step(
    loss: Callable[..., Tensor], table: Tensor, batches: Iterator[tuple[Tensor, Positives]]
) -> None:
    queries, positives = next(batches)
    leaves = queries.clone().requires_grad_(), table.detach().requires_grad_()
    _, by_table = torch.autograd.grad(loss(*leaves, positives, scale=SCALE), leaves)
    # Every row is read and written, as plain SGD on a table must.
    table.add_(by_table, alpha=-1e-3)


def _fastest(function: Callable[[], None], repeats: int) -> float:
    first = _timed(function)
    return min(_timed(function) for _ in range(1 if first > LONG_SECONDS else repeats))


def _timed(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _batches(num_queries: int, num_labels: int, dimension: int) -> Iterator[tuple[Tensor, Positives]]:
    """Batches without end, of a few that were drawn before."""
    generator = torch.Generator().manual_seed(1)
    drawn = []
    for number in range(DRAWN):
        lists = torch.randint(num_labels, (num_queries, POSITIVES_PER_QUERY), generator=generator).tolist()
        queries = _normalised(num_queries, dimension, seed=number + 2)
        drawn.append((queries, as_positives(lists, num_queries, num_labels)))
    while True:
        yield from drawn


def _normalised(rows: int, dimension: int, seed: int) -> Tensor:
    """[rows, D] of length 1, without a second matrix of that size."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.empty(rows, dimension)
    for part in vectors.split(1 << 16):
        part.normal_(generator=generator)
        F.normalize(part, dim=1, out=part)
    return vectors


def head_table(cases: Sequence[HeadCase]) -> str:
    """The cases as a Markdown table."""
    lines = [
        "| D | B | L | factored step, ms | with stabilising, ms | softmax dense, ms | softmax tiled, ms "
        "| times faster | extra memory |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case in cases:
        memory = "" if case.extra_bytes is None else f"{case.extra_bytes / 2**20:,.0f} MB"
        speedup = "" if case.speedup is None else f"{case.speedup:,.0f}"
        lines.append(
            f"| {case.dimension} | {case.num_queries} | {case.num_labels:,} | {1e3 * case.step_seconds:.2f} "
            f"| {1e3 * case.seconds:.2f} | {_milliseconds(case.dense_seconds)} "
            f"| {_milliseconds(case.tiled_seconds)} | {speedup} | {memory} |"
        )
    return "\n".join(lines)


def growth_lines(cases: Sequence[HeadCase]) -> list[str]:
    """For each D and B: the factored step, stabilising included, at the most labels over at the fewest."""
    lines = []
    for shape in sorted({(case.dimension, case.num_queries) for case in cases}):
        own = [case for case in cases if (case.dimension, case.num_queries) == shape]
        few, many = (choose(own, key=lambda case: case.num_labels) for choose in (min, max))
        if few is not many:
            lines.append(
                f"D={shape[0]}, B={shape[1]}: a factored step on {many.num_labels:,} labels takes "
                f"{many.seconds / few.seconds:.2f} times one on {few.num_labels:,}"
            )
    return lines


def _milliseconds(seconds: float | None) -> str:
    return "does not fit" if seconds is None else f"{1e3 * seconds:,.1f}"
