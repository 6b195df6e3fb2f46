"""Prints what LF-AmazonTitles-1.3M costs per step and epoch on 1, 8 and 64 GPUs: arithmetic, nothing is run.

    python benchmarks/scaling.py [--json FILE]

The tables of docs/scaling.md; the formulas are those of xmc.bench.step_cost.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from xmc.bench.known_towers import DISTILBERT
from xmc.bench.step_cost import StepCost, StepShape, TowerShape, mining_cost, step_cost
from xmc.bench.step_time import Rates, step_seconds

__all__ = ["MODES", "Mode", "case", "distinct_positives", "main", "tables"]

ROWS, LABELS, POSITIVES = 2_248_619, 1_305_265, 22.2
TOKENS = 32
MINED_KEPT = 50
STATIC = TowerShape(2 * 30_522 * 384, 384, activation_bytes=40, token_rows=(30_522, 30_522))
TOWERS = {"DistilBERT": (DISTILBERT, 16_384), "static": (STATIC, 1 << 20)}
FLOAT32 = Rates()
BFLOAT16 = replace(FLOAT32, scoring=FLOAT32.encoding)
GPUS = (1, 8, 64)
PUBLISHED_BATCH = 48_000  # 3,000 per GPU on 16
SMALL_BATCH = 3_000
BATCHES = {PUBLISHED_BATCH: 65_536, SMALL_BATCH: 8_192}  # labels drawn uniformly
REFERENCE_CALLS = "104"  # one all-reduce for each of 100 parameters; two gathers and their backward passes


@dataclass(frozen=True)
class Mode:
    """The labels of a step.

    Attributes:
        name: For the tables.
        grows: Which parts grow with the number of labels.
        sampled: Whether labels are drawn; else all are encoded.
        memory: Labels of the memory scored, of which as many are encoded anew as are drawn; 0 without one.
        mined: Labels that a query brings.
        positives: Positives that a query brings.
        engine: How scores are computed.
        gpus: Worlds to print.
    """

    name: str
    grows: str
    sampled: bool = True
    memory: int = 0
    mined: int = 0
    positives: float = POSITIVES
    engine: Any = "fused"
    gpus: tuple[int, ...] = GPUS


MODES = (
    Mode("reference", "label texts, scores", sampled=False, engine="dense", gpus=(16,)),
    Mode("all labels", "label texts, scores", sampled=False),
    Mode("sampled", "nothing"),
    Mode("sampled + memory", "memory's scores and bytes", memory=LABELS),
    Mode("sampled + tenth of memory", "memory's bytes", memory=LABELS // 10),
    Mode("mined, renewed each epoch", "mining", mined=1),
    Mode("one positive", "nothing", positives=1),
    Mode("one positive + memory", "memory's scores and bytes", memory=LABELS, positives=1),
    Mode("one positive + tenth of memory", "memory's bytes", memory=LABELS // 10, positives=1),
)
"""The last three are `negatives.positives: 1`: a query brings one of its positives, drawn anew each time."""


def distinct_positives(batch: int, positives: float = POSITIVES) -> float:
    """The share of the labels that a batch of queries brings, if all labels had equally many rows.

    ``1 - (1 - B / N) ** c`` with c rows per label. It is concave in c, so that labels of unequal frequency,
    as all are, bring fewer distinct ones: an upper bound.
    """
    # A label is missed when each of its c rows is outside the batch.
    return 1 - (1 - batch / ROWS) ** (ROWS * positives / LABELS)


def shape_of(mode: Mode, batch: int, ranks: int, tower: str = "DistilBERT") -> StepShape:
    """The shapes of a step on ``ranks`` GPUs."""
    encoder, micro_batch = TOWERS[tower]
    uniform = BATCHES[batch]
    # As in a pool's union: missed by the uniform draw, by other rows' positives and by mined labels.
    absent = (1 - uniform / LABELS) * (1 - distinct_positives(batch, mode.positives))
    absent *= (1 - 1 / LABELS) ** (mode.mined * batch)
    return StepShape(
        encoder,
        batch,
        round(LABELS * (1 - absent)) if mode.sampled else LABELS,
        positives=round(batch * mode.positives),
        query_tokens=TOKENS,
        label_tokens=TOKENS,
        ranks=ranks,
        labels=LABELS,
        memory=mode.memory,
        refresh=uniform if mode.memory else 0,
        certain=mode.mined * batch,
        engine=mode.engine,
        # The reference encodes a rank's whole share at once.
        micro_batch_tokens=3000 * TOKENS if mode.engine == "dense" else micro_batch,
    )


def case(mode: Mode, batch: int, ranks: int, tower: str = "DistilBERT") -> dict[str, Any]:
    """The figures of one mode at one scale: shapes, cost and seconds of a step, hours of an epoch."""
    shape = shape_of(mode, batch, ranks, tower)
    cost, steps = step_cost(shape), ROWS / batch
    mining = mining_cost(shape, ROWS, MINED_KEPT) if mode.mined else StepCost({}, ranks=ranks)
    found: dict[str, Any] = {
        "mode": mode.name, "tower": tower, "ranks": ranks, "batch": batch, "steps": steps,
        "pool": shape.pool, "grows": mode.grows, "cost": asdict(cost), "mining": asdict(mining),
        "recorded_bytes": cost.recorded_bytes, "sent_bytes": cost.sent_bytes,
    }  # fmt: skip
    for name, rates in (("float32", FLOAT32), ("bfloat16", BFLOAT16)):
        seconds, aside = (step_seconds(part, rates) for part in (cost, mining))
        found[f"seconds_{name}"], found[f"mining_seconds_{name}"] = seconds, sum(aside.values())
        found[f"hours_{name}"] = (sum(seconds.values()) * steps + sum(aside.values())) / 3600
    return found


def work_table(batch: int) -> str:
    """Operations, over all GPUs."""
    lines = [
        f"| {batch:,} queries per step, {ROWS / batch:,.0f} steps per epoch | pool | labels encoded "
        "per epoch, millions | PFLOP per step: queries | labels | scores | refresh | PFLOP per epoch | "
        "grows with L |",
        "|" + "---|" * 9,
    ]
    for mode in _modes(batch):
        one = case(mode, batch, 1)
        flops = {name: value / 1e15 for name, value in one["cost"]["flops"].items()}
        mining = sum(one["mining"]["flops"].values()) / 1e15
        queries, labels = (
            flops[f"encode {side}"] + flops[f"replay {side}"] for side in ("queries", "labels")
        )
        scores, refresh = flops["score pool"] + flops.get("score memory", 0.0), flops.get("refresh", 0.0)
        epoch = sum(flops.values()) * one["steps"] + mining
        lines.append(
            f"| {mode.name} | {one['pool']:,} | {one['pool'] * one['steps'] / 1e6:,.0f} | {queries:.2f} | "
            f"{labels:.2f} | {scores:.3f} | {refresh:.2f} | {epoch:,.0f} | {mode.grows} |"
        )
    return "\n".join(lines)


def memory_table(batch: int, tower: str) -> str:
    """Memory and collectives of a GPU."""
    lines = [
        f"| {tower}, {batch:,} queries per step | GPUs | GB per GPU: parameters, activations | embeddings | "
        "scores | label memory | at most | calls | MB put in | MB sent |",
        "|" + "---|" * 10,
    ]
    for mode in _modes(batch):
        for ranks in mode.gpus:
            one = case(mode, batch, ranks, tower)
            held = {name: value / 1e9 for name, value in one["cost"]["memory"].items()}
            kept = held.get("memory", 0.0) + held.get("rows to keep", 0.0)
            calls = str(len(one["cost"]["collectives"])) if mode.engine != "dense" else REFERENCE_CALLS
            lines.append(
                f"| {mode.name} | {ranks} | {held['parameters'] + held['activations']:.1f} | "
                f"{held['queries'] + held['labels']:.1f} | {held['scores']:.1f} | {kept:.1f} | "
                f"{sum(held.values()):.1f} | {calls} | {one['recorded_bytes'] / 1e6:,.0f} | "
                f"{one['sent_bytes'] / 1e6:,.0f} |"
            )
    return "\n".join(lines)


def time_table(batch: int, tower: str) -> str:
    """Seconds of a step, where they go, and an epoch."""
    heads = [f"{ranks} GPU{'s' * (ranks > 1)}: step | % encode, score, talk | epoch" for ranks in GPUS]
    lines = [f"| {tower}, {batch:,} queries per step | " + " | ".join(heads) + " |", "|" + "---|" * 10]
    for mode in _modes(batch):
        cells = []
        for ranks in GPUS:
            one = case(mode, batch, ranks, tower)
            seconds = one["seconds_float32"]
            whole = sum(seconds.values())
            shares = [f"{100 * seconds[name] / whole:.0f}" for name in ("encode", "score", "collectives")]
            epochs = [_duration(one[f"hours_{name}"]) for name in ("float32", "bfloat16")]
            cells += [_duration(whole / 3600), ", ".join(shares), f"{epochs[0]} ({epochs[1]})"]
        if len(mode.gpus) == len(GPUS):
            lines.append(f"| {mode.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _modes(batch: int) -> list[Mode]:
    """All modes; the reference's at its published batch alone."""
    return [mode for mode in MODES if mode.engine != "dense" or batch == PUBLISHED_BATCH]


def _duration(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.1f} h"
    if hours >= 1 / 60:
        return f"{60 * hours:.1f} min"
    return f"{3600 * hours:.2f} s" if hours >= 0.1 / 3600 else f"{3.6e6 * hours:.0f} ms"


def tables() -> str:
    """All tables of docs/scaling.md."""
    parts = [work_table(batch) for batch in BATCHES]
    parts += [memory_table(PUBLISHED_BATCH, "DistilBERT")]
    parts += [time_table(batch, "DistilBERT") for batch in BATCHES]
    parts += [time_table(SMALL_BATCH, "static")]
    return "\n\n".join(parts)


def main(words: Sequence[str] | None = None) -> None:
    """Print the tables; write every figure where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write every figure here")
    options = parser.parse_args(words)
    print(tables())
    if options.json is not None:
        cases = [
            case(mode, batch, ranks, tower)
            for tower in TOWERS for batch in BATCHES for mode in _modes(batch) for ranks in mode.gpus
        ]  # fmt: skip
        options.json.write_text(json.dumps({"rates": asdict(FLOAT32), "cases": cases}, indent=2) + "\n")


if __name__ == "__main__":
    main()
