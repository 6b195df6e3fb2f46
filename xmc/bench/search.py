"""What exact search costs, in units of the plain product of queries and labels."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from xmc.bench.resources import fastest, peak_extra_bytes
from xmc.progress import each
from xmc.retrieval import exact_search

__all__ = ["SearchCase", "bench_search", "search_table"]

# The plain product is tried in tiles of these shapes on the first queries and labels; the fastest is taken.
PRODUCT_TILES = ((1024, 2048), (1024, 4032), (1024, 4096), (256, 16_384), (512, 65_536))
TRIAL = 1_024, 131_072
# Queries that are searched, and multiplied, before the other has its turn.
PART = 1_024


@dataclass(frozen=True)
class SearchCase:
    """One measured search.

    Attributes:
        num_queries: N.
        num_labels: L.
        dimension: D.
        k: Labels kept.
        seconds: Of the fastest run, end to end.
        product_seconds: Of the fastest plain product N x L x D, in tiles, into one buffer.
        products: Their ratio.
        extra_bytes: Peak memory beyond the inputs, the result included, or None where it cannot be read.
    """

    num_queries: int
    num_labels: int
    dimension: int
    k: int
    seconds: float
    product_seconds: float
    products: float
    extra_bytes: int | None


def bench_search(
    num_queries: Sequence[int],
    num_labels: Sequence[int],
    *,
    dimension: int = 384,
    k: int = 100,
    repeats: int = 3,
    progress: bool = False,
) -> list[SearchCase]:
    """Measure exact search at every N and L on unit vectors of random directions, in this process's threads.

    Args:
        num_queries: Values of N.
        num_labels: Values of L.
        dimension: D.
        k: Labels to keep.
        repeats: Runs of each, the fastest counts; search and product take turns, some queries at a time, so
            that other work on the machine falls on both alike. At least 1.
        progress: Show a bar on stderr.
    """
    shapes = [(queries, labels) for labels in num_labels for queries in num_queries]
    return [
        _measure(queries, labels, dimension, k, repeats)
        for queries, labels in each(shapes, "measuring", "shape", shown=progress)
    ]


def _measure(num_queries: int, num_labels: int, dimension: int, k: int, repeats: int) -> SearchCase:
    generator = torch.Generator().manual_seed(0)
    queries = F.normalize(torch.randn(num_queries, dimension, generator=generator), dim=1)
    labels = F.normalize(torch.randn(num_labels, dimension, generator=generator), dim=1)

    # The run whose memory is read also warms up, on a part: memory does not grow with the queries.
    extra = peak_extra_bytes(lambda: exact_search(queries[:1024], labels, k))
    some = queries[: TRIAL[0]], labels[: TRIAL[1]]
    tried = fastest({shape: _product(*some, *shape) for shape in PRODUCT_TILES}, max(3, repeats))
    rows, columns = min(tried, key=lambda shape: tried[shape])
    runs = [_in_turns(queries, labels, k, rows, columns) for _ in range(repeats)]
    seconds, product = (min(taken) for taken in zip(*runs, strict=True))
    return SearchCase(num_queries, num_labels, dimension, k, seconds, product, seconds / product, extra)


def _in_turns(queries: Tensor, labels: Tensor, k: int, rows: int, columns: int) -> tuple[float, float]:
    """Seconds of the search and of the product in tiles of rows x columns, some queries at a time."""
    clock = time.perf_counter
    search = product = 0.0
    for part in queries.split(PART):
        started = clock()
        exact_search(part, labels, k)
        between = clock()
        _product(part, labels, rows, columns)()
        search, product = search + between - started, product + clock() - between
    return search, product


def _product(queries: Tensor, labels: Tensor, rows: int, columns: int) -> Callable[[], None]:
    """All products in tiles of rows x columns, written one over the other."""
    rows, columns = min(rows, len(queries)), min(columns, len(labels))

    def multiply() -> None:
        buffer = queries.new_empty(rows * columns)
        for start in range(0, len(queries), rows):
            block = queries[start : start + rows]
            for first in range(0, len(labels), columns):
                part = labels[first : first + columns]
                torch.mm(block, part.T, out=buffer[: len(block) * len(part)].view(len(block), len(part)))

    return multiply


def search_table(cases: Sequence[SearchCase]) -> str:
    """The cases as a Markdown table."""
    lines = [
        "| N | L | D | k | seconds | plain product | ratio | extra memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in cases:
        memory = "" if case.extra_bytes is None else f"{case.extra_bytes / 2**20:,.0f} MB"
        lines.append(
            f"| {case.num_queries:,} | {case.num_labels:,} | {case.dimension} | {case.k} "
            f"| {case.seconds:.3f} | {case.product_seconds:.3f} | {case.products:.2f} | {memory} |"
        )
    return "\n".join(lines)
