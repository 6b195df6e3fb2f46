"""What exact search costs, in units of the plain product of queries and labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from xmc.bench.resources import fastest, peak_extra_bytes
from xmc.progress import each
from xmc.retrieval import exact_search

__all__ = ["SearchCase", "bench_search", "search_table"]

# The plain product is tried in tiles of these shapes, and the fastest counts.
PRODUCT_TILES = ((256, 16_384), (1024, 16_384), (512, 65_536))


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
        repeats: Runs of each, which take turns with the plain products; the fastest counts. At least 1.
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

    def search() -> None:
        exact_search(queries, labels, k)

    # The run whose memory is read also warms up, on a part: memory does not grow with the queries.
    extra = peak_extra_bytes(lambda: exact_search(queries[:1024], labels, k))
    products = {
        f"product {rows} x {columns}": _product(queries, labels, rows, columns)
        for rows, columns in PRODUCT_TILES
    }
    seconds = fastest({"search": search, **products}, repeats)
    product = min(seconds[name] for name in products)
    return SearchCase(
        num_queries, num_labels, dimension, k, seconds["search"], product, seconds["search"] / product, extra
    )


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
