"""What ``benchmarks/gpu.py`` does, stage by stage in order of worth, and how long each may take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.gpu_cases import IMPLEMENTATIONS, Case, CheckCase, TimeCase
from benchmarks.gpu_graph import GraphCase
from benchmarks.gpu_index import IndexCase
from benchmarks.gpu_parts import PARTS, PartCase
from benchmarks.gpu_steps import StepCase
from benchmarks.gpu_texts import EncodeCase, SearchCase, SmokeCase, TrainCase
from xmc.objectives import CATALOGUE

__all__ = ["PATIENCE", "STAGES", "Choices", "Stage", "check_cases", "stages"]

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "softmax": [{"over_positives": "mean"}, {"over_positives": "sum"}],
    "supervised_contrastive": [{"mean": "out"}, {"mean": "in"}],
    "soft_top_k": [{"k": 5, "alpha": 2.0}, {"k": "positives", "alpha": 0.7}],
}
WITHOUT_SCORES = tuple(name for name, facts in CATALOGUE.items() if facts.takes_moments)
DTYPES = ("bfloat16", "float32")
QUICK_OBJECTIVES = ("decoupled_softmax", "binary_cross_entropy", "soft_top_k")
# torch.compile takes ten seconds and more for each statistic, so it is checked on one of each kind.
COMPILED = {"bfloat16": QUICK_OBJECTIVES, "float32": ()}
WAYS = ("triton", "tiled", "dense", "compiled tiled")
PATIENCE = 10
"""How many times the limits of a GPU a small run on a CPU is given, which may have other work to do."""

AT_ONCE = 8
"""Processes of a stage that takes no times: compiling kernels is work of the host's."""

STAGES = ("smoke", "check", "score", "step", "search", "train", "encode")


@dataclass(frozen=True)
class Choices:
    """What a run is asked for.

    Attributes:
        miniature: Everything small, for a CPU.
        encoder: A model's folder for the stages that encode; random weights when None.
        data: A prepared data set for the stage "train"; one is made when None.
        queries: B of the stage "score".
        labels: L of it.
        dimensions: D of it.
        ways: Implementations of it.
    """

    miniature: bool = False
    encoder: str | None = None
    data: str | None = None
    queries: tuple[int, ...] = (1_024, 4_096)
    labels: tuple[int, ...] = (131_072, 1_305_265)
    dimensions: tuple[int, ...] = (384, 768)
    ways: tuple[str, ...] = WAYS

    def towers(self, *names: str) -> tuple[str, ...]:
        """The encoders of a stage: the folder given, or random weights of these shapes."""
        if self.encoder is not None:
            return (self.encoder,)
        return ("miniature",) if self.miniature else names


@dataclass(frozen=True)
class Stage:
    """Cases that answer one question.

    Attributes:
        name: One of :data:`STAGES`.
        seconds: What all of them may take; the rest is not run.
        case_seconds: What one of them may take.
        cases: In order of worth.
        at_once: Processes that work on them side by side: more than one where no time is taken.
    """

    name: str
    seconds: float
    case_seconds: float
    cases: Sequence[Case]
    at_once: int = 1


def stages(asked: Choices) -> list[Stage]:
    """All stages: 470 seconds at most, by their limits."""
    small = asked.miniature
    planned = [
        Stage("smoke", 60, 60, [SmokeCase()]),
        Stage("check", 70, 40, check_cases(small), at_once=1 if small else AT_ONCE),
        Stage("score", 100, 40, _score_cases(asked)),
        Stage("step", 120, 60, _step_cases(asked)),
        Stage("search", 30, 20, _search_cases(small)),
        Stage("train", 60, 60, [_train_case(asked)]),
        Stage("encode", 30, 20, _encode_cases(asked)),
    ]
    if not small:
        return planned
    return [Stage(s.name, PATIENCE * s.seconds, PATIENCE * s.case_seconds, s.cases) for s in planned]


def check_cases(small: bool) -> list[Case]:
    """Every objective by every implementation in both types, and the parts of a step beside scores."""
    names = [name for name in CATALOGUE if not small or name in QUICK_OBJECTIVES]
    rows, labels = (17, 90) if small else (300, 5_001)
    # Embeddings whose rows of bytes are a multiple of 16, which some GPUs copy by tiles, and others.
    odd, even = (18, 24) if small else (100, 136)
    parts = [PartCase(part, 211, 16) if small else PartCase(part) for part in PARTS]

    def checks(way: str, dtype: str) -> list[Case]:
        return [
            CheckCase(name, way, dtype, rows, labels, dimension, options)
            for dimension in ((odd, even) if (way, dtype) == ("triton", "bfloat16") else (odd,))
            for name in names
            if name not in WITHOUT_SCORES or way in ("dense", "triton")
            if way != "compiled tiled" or name in COMPILED[dtype]
            for options in OPTIONS.get(name, [{}])[: 1 if small else None]
        ]

    assert set(WAYS) == set(IMPLEMENTATIONS)
    # bfloat16 by Triton first: what is trained with, and what no other machine has run.
    order = [(way, dtype) for dtype in DTYPES[: 1 if small else None] for way in WAYS[:3]]
    found = checks(*order[0]) + parts + ([] if small else [GraphCase()])
    for way, dtype in order[1:]:
        found += checks(way, dtype)
    return found + checks("compiled tiled", "bfloat16")


def _score_cases(asked: Choices) -> list[Case]:
    if asked.miniature:
        return [TimeCase(way, 32, 200, 16, repeats=1) for way in asked.ways]
    # The slow compiler last; within a way the shapes of most work first.
    return [
        TimeCase(way, num_queries, num_labels, dimension)
        for way in asked.ways
        for num_labels in sorted(asked.labels, reverse=True)
        for num_queries in sorted(asked.queries, reverse=True)
        for dimension in asked.dimensions
    ] + [
        TimeCase("triton", num_queries, num_labels, dimension, objective=objective)
        for objective in ("soft_top_k", "binary_cross_entropy")
        for num_queries, num_labels, dimension in [(asked.queries[-1], asked.labels[0], asked.dimensions[0])]
        if "triton" in asked.ways
    ]


def _step_cases(asked: Choices) -> list[Case]:
    if asked.miniature:
        small = {"batch": 32, "labels": 300, "rows": 200, "tokens": 8, "micro_batch_tokens": 256}
        return [StepCase(tower, 60, steps=1, **small) for tower in asked.towers()]
    towers = asked.towers("DistilBERT", "MiniLM")
    plain = [StepCase(tower, pool) for pool in (8_192, 65_536) for tower in towers]
    compiled = [StepCase(tower, 65_536, compile=True) for tower in towers]
    small = towers[-1]
    others = [StepCase(small, 65_536, precision="bf16"), StepCase(small, 65_536, ragged=True)]
    return plain + compiled + others


def _search_cases(small: bool) -> list[Case]:
    if small:
        return [SearchCase(20, 300, 16, k=10), IndexCase(300, 16, batch=5)]
    shapes = ((384, None), (768, None), (384, 256))
    searches = [SearchCase(10_000, 1_305_265, dimension, memory_mb=memory) for dimension, memory in shapes]
    return [*searches, IndexCase(1_305_265, 384)]


def _train_case(asked: Choices) -> Case:
    (tower,) = asked.towers("MiniLM")
    if asked.miniature:
        return TrainCase(tower, asked.data, epochs=4, labels=20, queries=200, batch=50, length=16)
    if asked.data is None:
        return TrainCase(tower)
    return TrainCase(tower, asked.data, labels=10_000, queries=40_000)


def _encode_cases(asked: Choices) -> list[Case]:
    if asked.miniature:
        return [EncodeCase(tower, texts=60, longest=12, batch=16) for tower in asked.towers()]
    return [EncodeCase(tower) for tower in asked.towers("MiniLM", "DistilBERT", "BERT-base")]
