"""The least time that scoring, steps and search can take on an H100, on paper.

``python benchmarks/roofline.py`` prints the tables of docs/gpu.md, beside which the measurements of
benchmarks/gpu.py are put. A part takes as long as its operations at the card's peak, or as its bytes at the
peak of its memory, whichever is longer.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.gpu_shapes import SHAPES
from benchmarks.scaling import LABELS, ROWS, TOKENS
from xmc.bench.step_cost import StepShape, step_cost

__all__ = ["H100", "Card", "Part", "main", "score_parts", "tables"]


@dataclass(frozen=True)
class Card:
    """Peaks of a GPU by its data sheet: operations and bytes a second, dense."""

    name: str
    half: float
    single: float
    memory: float

    @property
    def ridge(self) -> float:
        """Operations a byte from which on half-precision products are bound by arithmetic."""
        return self.half / self.memory


H100 = Card("H100 SXM", half=989e12, single=67e12, memory=3.35e12)


@dataclass(frozen=True)
class Part:
    """Operations, bytes, and whether products are those of halves."""

    flops: float
    bytes: float
    half: bool = True

    def seconds(self, card: Card) -> float:
        """By the slower of arithmetic and memory."""
        return max(self.flops / (card.half if self.half else card.single), self.bytes / card.memory)


def score_parts(way: str, queries: int, labels: int, dimension: int) -> list[Part]:
    """Forward and backward pass of scores with gradients to both sides, embeddings in half precision.

    Products of B x L x D: dense three, tiled and triton four. Bytes: "dense" writes and reads the float32
    scores and their slopes, about four passes of B L numbers forward (product, scale, mask, partition) and
    three backward; "tiled" makes as many passes twice over tiles, less one; "triton" keeps scores in
    registers, writes slopes in bfloat16 and reads them for each of two products. Embeddings are read once for
    each product, and their gradients written.
    """
    product = 2.0 * queries * labels * dimension
    scores = float(queries * labels)
    rows = 2.0 * dimension * (queries + labels)
    if way == "dense":
        return [Part(product, 4 * 4 * scores + rows), Part(2 * product, 3 * 4 * scores + 2 * rows)]
    if way == "tiled":
        return [Part(product, 4 * 4 * scores + rows), Part(3 * product, (4 + 3) * 4 * scores + 3 * rows)]
    if way != "triton":
        raise ValueError(f"expected dense, tiled or triton, got {way}")
    return [
        Part(product, rows),
        Part(product, 2 * scores + rows),
        Part(2 * product, 2 * 2 * scores + 2 * rows),
    ]


def score_table(card: Card, queries: Sequence[int], labels: Sequence[int], dimensions: Sequence[int]) -> str:
    """Milliseconds of each way of scoring, and the least share of the card's half-precision peak."""
    heads = "| scoring, bfloat16: B | L | D | dense: ms, TFLOP/s | tiled | triton | triton's share of peak |"
    lines = [heads, "|" + "---|" * 7]
    for count in labels:
        for rows in queries:
            for dimension in dimensions:
                needed, cells = 3 * 2.0 * rows * count * dimension, []
                for way in ("dense", "tiled", "triton"):
                    seconds = sum(part.seconds(card) for part in score_parts(way, rows, count, dimension))
                    cells.append(f"{1e3 * seconds:.2f}, {needed / seconds / 1e12:.0f}")
                share = needed / seconds / card.half
                lines.append(
                    f"| {rows:,} | {count:,} | {dimension} | " + " | ".join(cells) + f" | {share:.0%} |"
                )
    return "\n".join(lines)


def step_parts(tower: str, pool: int, batch: int) -> dict[str, Part]:
    """What a sampled step takes: encoders in bfloat16, float32 scores, optimiser."""
    shape = SHAPES[tower].tower
    cost = step_cost(
        StepShape(
            shape, batch, pool, batch, query_tokens=TOKENS, label_tokens=TOKENS, labels=LABELS,
            score_parameters=1,
        )
    )  # fmt: skip
    encoding = sum(flops for name, flops in cost.flops.items() if not name.startswith("score"))
    return {
        "encode": Part(encoding, 0.0),
        "score": Part(cost.flops["score pool"], cost.traffic["slopes"], half=False),
        "optimise": Part(0.0, cost.traffic["optimiser"]),
    }


def step_table(card: Card, batch: int = 4_096, pools: Sequence[int] = (8_192, 65_536)) -> str:
    """Whole steps: the parts, texts a second, hours an epoch, memory."""
    lines = [
        f"| step of {batch:,} queries | pool | ms: encode, score, optimise | texts/s | hours an epoch |",
        "|" + "---|" * 5,
    ]
    for tower in ("DistilBERT", "MiniLM"):
        for pool in pools:
            parts = [1e3 * part.seconds(card) for part in step_parts(tower, pool, batch).values()]
            whole = sum(parts) / 1e3
            cells = ", ".join(f"{part:.1f}" for part in parts)
            lines.append(
                f"| {tower} | {pool:,} | {cells} | {(batch + pool) / whole:,.0f} "
                f"| {ROWS / batch * whole / 3600:.3f} |"
            )
    return "\n".join(lines)


def search_table(card: Card, queries: int = 10_000, dimensions: Sequence[int] = (384, 768)) -> str:
    """Exact search in float32: a product, and a pass over the scores to write them and one to read them."""
    lines = [f"| exact search of {queries:,} queries in {LABELS:,} labels: D | seconds |", "|---|---|"]
    for dimension in dimensions:
        scores = float(queries * LABELS)
        part = Part(2 * scores * dimension, 2 * 4 * scores, half=False)
        lines.append(f"| {dimension} | {part.seconds(card):.3f} |")
    return "\n".join(lines)


def tables(card: Card = H100) -> str:
    """All tables."""
    scores = score_table(card, (1_024, 4_096), (131_072, LABELS), (384, 768))
    return "\n\n".join([scores, step_table(card), search_table(card)])


def main() -> None:
    """Print the tables."""
    print(tables())


if __name__ == "__main__":
    main()
