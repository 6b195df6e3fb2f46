"""What a forward and a backward pass of each objective costs, in units of one plain product of Q and E."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Unpack

from xmc.bench.published import PUBLISHED
from xmc.bench.resources import fastest, peak_extra_bytes
from xmc.bench.units import plain_product
from xmc.objectives.build import build_objective
from xmc.objectives.catalogue import CATALOGUE, facts_of
from xmc.objectives.statistics.label_moments import label_moments
from xmc.progress import Bar
from xmc.scoring import (
    DEFAULT_MEMORY_BYTES,
    ExtraNegatives,
    Positives,
    ScoreInputs,
    ScoringOptions,
    as_positives,
)

__all__ = ["ScoringCase", "bench_scoring", "scoring_table"]

POSITIVES_PER_QUERY = 4
POOL_LABELS = 4096
SLOW_ORACLES = ("soft_top_k",)  # a hundred bisections in float64; the published formula stands for it
DENSE_COPIES = 6  # score matrices that plain autograd holds at its peak, to tell what fits


@dataclass(frozen=True)
class ScoringCase:
    """One measured line.

    Attributes:
        objective: Name in :data:`xmc.objectives.CATALOGUE`.
        implementation: "tiled", "tiled, labels frozen", "dense" or "published"; for a spherical loss also
            "pool, moments of the rest": 4,096 labels with a gradient, the moments of the others known.
        num_queries: B.
        num_labels: L.
        dimension: D.
        seconds: Of the fastest forward and backward pass.
        products: The same over the time of one plain product B x L x D.
        extra_bytes: Peak memory beyond the inputs and their gradients, or None where it cannot be read.
        share_of_scores: ``extra_bytes`` over the 4 B L bytes of a score matrix.
    """

    objective: str
    implementation: str
    num_queries: int
    num_labels: int
    dimension: int
    seconds: float
    products: float
    extra_bytes: int | None
    share_of_scores: float | None


def bench_scoring(
    num_queries: Sequence[int],
    num_labels: Sequence[int],
    *,
    dimension: int = 384,
    objectives: Iterable[str] | None = None,
    repeats: int = 3,
    tile_bytes: int = DEFAULT_MEMORY_BYTES,
    memory_bytes: int = 16 << 30,
    progress: bool = False,
) -> list[ScoringCase]:
    """Measure every objective at every B and L: tiled, with labels frozen, dense, and as published.

    Args:
        num_queries: Values of B.
        num_labels: Values of L.
        dimension: D.
        objectives: Names; all when None.
        repeats: Runs of each, of which the fastest counts; at least 1.
        tile_bytes: What "tiled" may take for scores; all of a step's are kept where they fit.
        memory_bytes: What the last two may take; where they would not fit they are left out.
        progress: Show a bar on stderr.
    """
    names = list(objectives or CATALOGUE)
    cases = []
    shapes = [(queries, labels) for labels in num_labels for queries in num_queries]
    with Bar(len(shapes) * len(names), "measuring", "objective", shown=progress) as bar:
        for queries, labels in shapes:
            inputs = _inputs(queries, labels, dimension)
            # Left out rather than measured while the machine swaps.
            fits = DENSE_COPIES * 4 * queries * labels <= memory_bytes
            for name in names:
                cases += _measure(name, _steps(name, inputs, fits, tile_bytes), inputs, repeats)
                bar.update()
    return cases


Inputs = tuple[Tensor, Tensor, Positives]
Run = Callable[[Tensor, Tensor], Tensor]


def _inputs(num_queries: int, num_labels: int, dimension: int) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    queries = F.normalize(torch.randn(num_queries, dimension, generator=generator), dim=1)
    labels = F.normalize(torch.randn(num_labels, dimension, generator=generator), dim=1)
    return queries, labels, _positives(num_queries, num_labels, generator)


def _positives(num_queries: int, num_labels: int, generator: torch.Generator) -> Positives:
    # With repetition: a repeated pair counts once, which is rare enough not to matter.
    lists = torch.randint(num_labels, (num_queries, POSITIVES_PER_QUERY), generator=generator).tolist()
    return as_positives(lists, num_queries, num_labels)


@dataclass(frozen=True)
class _Step:
    """A forward and a backward pass, and the bytes of the gradients it returns, which any way has to hold."""

    run: Callable[[], None]
    returned: int


def _steps(name: str, inputs: Inputs, fits: bool, tile_bytes: int) -> dict[str, _Step]:
    queries, labels, positives = inputs
    ours = partial(_run, name, positives)
    tiled = partial(ours, implementation="tiled", memory_bytes=tile_bytes)
    steps = {
        "tiled": _step(tiled, queries, labels),
        "tiled, labels frozen": _step(tiled, queries, labels, frozen=True),
    }
    if facts_of(name).takes_moments and len(labels) > POOL_LABELS:
        steps["pool, moments of the rest"] = _pool_step(name, queries, labels)
    if fits and name not in SLOW_ORACLES:
        steps["dense"] = _step(partial(ours, implementation="dense"), queries, labels)
    if fits and name in PUBLISHED:
        steps["published"] = _step(partial(PUBLISHED[name], positives=positives), queries, labels)
    return steps


def _run(
    name: str, positives: Positives, queries: Tensor, labels: Tensor, **scoring: Unpack[ScoringOptions]
) -> Tensor:
    facts = facts_of(name)
    return build_objective(name)(ScoreInputs(queries, labels, positives, facts.scale, **scoring))


def _pool_step(name: str, queries: Tensor, labels: Tensor) -> _Step:
    """Only the first labels have a gradient, positives among them; of the others the moments are known."""
    pool, rest = labels[:POOL_LABELS].clone(), label_moments(labels[POOL_LABELS:], None, None)
    positives = _positives(len(queries), POOL_LABELS, torch.Generator().manual_seed(0))
    # The moments are made once outside of what is timed, as running moments would be there already.
    extra = ExtraNegatives(moments=rest)
    return _step(partial(_run, name, positives, extra=extra), queries, pool)


def _measure(name: str, steps: dict[str, _Step], inputs: Inputs, repeats: int) -> list[ScoringCase]:
    queries, labels, _ = inputs
    # The first run of each is the one whose memory is read; it also warms up.
    extra = {kind: _beyond_gradients(step) for kind, step in steps.items()}
    runs = {kind: step.run for kind, step in steps.items()}
    seconds = fastest({"product": lambda: plain_product(queries, labels), **runs}, repeats)
    scores = 4 * len(queries) * len(labels)
    cases = []
    for kind, bytes_at_peak in extra.items():
        cases.append(
            ScoringCase(
                name,
                kind,
                len(queries),
                len(labels),
                queries.shape[1],
                seconds[kind],
                seconds[kind] / seconds["product"],
                bytes_at_peak,
                None if bytes_at_peak is None else bytes_at_peak / scores,
            )
        )
    return cases


def _beyond_gradients(step: _Step) -> int | None:
    extra = peak_extra_bytes(step.run)
    return None if extra is None else max(0, extra - step.returned)


def _step(run: Run, queries: Tensor, labels: Tensor, frozen: bool = False) -> _Step:
    # autograd.grad gives fresh gradients each time, where backward would add to the last ones.
    leaves = (queries.clone().requires_grad_(), labels.detach().requires_grad_(not frozen))
    wanted = [leaf for leaf in leaves if leaf.requires_grad]

    def step() -> None:
        torch.autograd.grad(run(*leaves), wanted)

    return _Step(step, 4 * sum(leaf.numel() for leaf in wanted))


def scoring_table(cases: Sequence[ScoringCase]) -> str:
    """The cases as a Markdown table."""
    lines = [
        "| objective | implementation | B | L | seconds | products | extra memory | of 4 B L |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in cases:
        memory = "" if case.extra_bytes is None else f"{case.extra_bytes / 2**20:,.0f} MB"
        share = "" if case.share_of_scores is None else f"{case.share_of_scores:.1%}"
        lines.append(
            f"| {case.objective} | {case.implementation} | {case.num_queries:,} | {case.num_labels:,} "
            f"| {case.seconds:.3f} | {case.products:.2f} | {memory} | {share} |"
        )
    return "\n".join(lines)
