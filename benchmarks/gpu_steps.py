"""Whole training steps at the shape of LF-AmazonTitles-1.3M: where their time goes, and an epoch's hours."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import numpy as np
import scipy.sparse as sp
import torch

from benchmarks.gpu_files import case_folder
from benchmarks.gpu_models import build_encoder
from benchmarks.gpu_shapes import SHAPES
from benchmarks.gpu_timing import matrix_rate, wait_for
from benchmarks.scaling import LABELS, POSITIVES, ROWS, TOKENS
from xmc.bench.step_cost import StepShape, step_cost
from xmc.data import TokenStore
from xmc.distributed import World
from xmc.distributed.stopwatch import StopWatch
from xmc.encoders.micro_batches import gather_rows
from xmc.training.batches.batches import build_batches
from xmc.training.batches.config import NegativesConfig
from xmc.training.config import (
    DataConfig,
    ObjectiveConfig,
    OptimisationConfig,
    RunOptions,
    ScoringConfig,
    TrainConfig,
    ValidationConfig,
)
from xmc.training.learned.frozen_encoder import FrozenEncoder
from xmc.training.learned.learner import build_learner
from xmc.training.memory_limit import MicroBatchLimit
from xmc.training.objective import configured_objective
from xmc.training.step import StepInputs, StepResult, optimise

__all__ = ["StepCase", "random_relevance", "step_inputs_of"]

SHARE_OF_ROWS = 64
"""One in so many training rows is drawn: a step's shapes are those of all, and its set-up takes less."""


@dataclass(frozen=True)
class StepCase:
    """Sampled training with the gradient cache, each query with one of its positives.

    Attributes:
        tower: A name of :data:`benchmarks.gpu_shapes.SHAPES`, or a model's folder.
        pool: Labels of a step, about: the uniform draw and a positive for each query.
        batch: Queries of a step.
        labels: L.
        rows: Training rows that are drawn from.
        tokens: Of every text.
        micro_batch_tokens: What is encoded at once; the tower's own choice when None.
        steps: Timed, after one to warm up.
        compile: Whether layers are compiled but for their attention (``training.compile``).
        ragged: Whether texts have from 4 tokens on, as many have as few, and not all ``tokens``.
        precision: Of the products of scores (``scoring.precision``).
    """

    tower: str
    pool: int
    batch: int = 4_096
    labels: int = LABELS
    rows: int = ROWS // SHARE_OF_ROWS
    tokens: int = TOKENS
    micro_batch_tokens: int | None = None
    steps: int = 2
    compile: bool = False
    ragged: bool = False
    precision: Literal["fp32", "bf16"] = "fp32"
    kind: ClassVar[str] = "step"

    def measure(self, device: str) -> dict[str, Any]:
        """See :class:`benchmarks.gpu_cases.Case`."""
        started = time.perf_counter()
        with case_folder() as folder:
            inputs = step_inputs_of(self, device, Path(folder))
            wait_for(device)
            seconds = time.perf_counter() - started
            return {"set_up_seconds": seconds} | _measured(self, inputs, device)


@lru_cache(maxsize=1)
def random_relevance(rows: int, labels: int, seed: int = 0) -> sp.csr_matrix:
    """CSR float32 [N, L] of about 22.2 positives a row, labels falling in frequency as rank^-0.8."""
    draw = np.random.default_rng(seed)
    count = int(rows * POSITIVES)
    # The inverse of the cumulated frequencies x^0.2 of rank^-0.8, spread over ids by a permutation.
    ranks = np.minimum((draw.random(count) ** 5 * labels).astype(np.int64), labels - 1)
    ids = draw.permutation(labels).astype(np.int32)[ranks]
    owners = np.concatenate([np.arange(rows), draw.integers(rows, size=count - rows)]).astype(np.int32)
    found = sp.csr_matrix((np.ones(count, dtype=np.float32), (owners, ids)), shape=(rows, labels))
    found.sum_duplicates()
    found.data[:] = 1
    return found


@dataclass(frozen=True)
class _RandomTokens:
    """``count`` texts, of which a few thousand differ, as flat ids [t] and offsets [n + 1]."""

    count: int
    ids: np.ndarray
    offsets: np.ndarray

    @classmethod
    def draw(cls, count: int, tokens: int, vocabulary: int, ragged: bool) -> _RandomTokens:
        draw = np.random.default_rng(0)
        lengths = draw.integers(min(4, tokens), tokens + 1, 4_099) if ragged else np.full(4_099, tokens)
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
        return cls(count, draw.integers(4, vocabulary, size=int(offsets[-1]), dtype=np.int32), offsets)

    def __len__(self) -> int:
        return self.count

    def gather(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`xmc.data.TokenRows`."""
        return gather_rows(self.ids, self.offsets, np.asarray(rows) % (len(self.offsets) - 1))


def step_inputs_of(case: StepCase, device: str, folder: Path) -> StepInputs:
    """What :func:`xmc.training.step.optimise` takes, on random texts and relevance."""
    encoder = build_encoder(case.tower, folder, length=max(case.tokens, 8))
    config = TrainConfig(
        data=DataConfig("none"),
        run=RunOptions(str(folder / "run"), trackers=[]),
        objective=ObjectiveConfig(learn_scale=True),
        scoring=ScoringConfig(precision=case.precision),
        negatives=NegativesConfig(mode="sampled", uniform=max(1, case.pool - case.batch), positives=1),
        training=OptimisationConfig(
            batch_size=case.batch, learning_rate=1e-4, micro_batch_tokens=case.micro_batch_tokens
        ),
        validation=ValidationConfig(rows=0),
    )
    relevance, world, place = random_relevance(case.rows, case.labels), World(), torch.device(device)
    objective = configured_objective(config.objective, None, seed=0)
    batches = build_batches(
        config.negatives,
        relevance,
        np.arange(case.rows),
        batch_size=case.batch,
        label_queries=0,
        dimension=encoder.dimension,
        seed=0,
        world=world,
        device=place,
        folder=folder,
        objective=objective.facts,
    )
    points = np.bincount(relevance.indices, minlength=case.labels)
    learner = build_learner(config, encoder, [""] * case.labels, points, place, world)
    if case.compile:
        for tower in encoder.towers:
            tower.compile_layers()
    vocabulary = SHAPES[case.tower].vocabulary if case.tower in SHAPES else 1_000
    queries, labels = (
        _RandomTokens.draw(n, case.tokens, vocabulary, case.ragged) for n in (case.rows, case.labels)
    )
    autocast = partial(torch.autocast, device, torch.bfloat16, enabled=device == "cuda")
    frozen = FrozenEncoder(
        encoder, None, queries, cast(TokenStore, labels), case.micro_batch_tokens, autocast
    )
    encoder.train()
    return StepInputs(
        config=config,
        num_steps=1_000,
        learner=learner,
        queries=queries,
        labels=labels,
        batches=batches,
        frozen=frozen,
        objective=objective,
        world=world,
        device=place,
        autocast=autocast,
        limit=MicroBatchLimit(0),
    )


def _measured(case: StepCase, inputs: StepInputs, device: str) -> dict[str, Any]:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    _finite(optimise(inputs, 0))  # kernels are compiled in it
    wait_for(device)
    first, started = time.perf_counter() - started, time.perf_counter()
    for step in range(1, case.steps + 1):
        _finite(optimise(inputs, step))
    wait_for(device)
    seconds = (time.perf_counter() - started) / case.steps
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else None
    # Once more with a watch, which waits for the device at both ends of each part.
    watch = StopWatch(inputs.device)
    optimise(replace(inputs, watch=watch), case.steps + 1)
    pool = round(inputs.batches.pools.expected_size())
    shape = _shape(case, inputs, pool)
    cost = step_cost(shape)
    flops = sum(cost.flops.values())
    whole = sum(watch.seconds.values())
    waits = _waits(inputs, case.steps + 2) if device == "cuda" else None
    batch = inputs.batches.sampler.batch_size
    return {
        "first_step_seconds": first,
        "seconds": seconds,
        "queries": batch,
        "pool_labels": pool,
        "texts_per_second": (batch + pool) / seconds,
        "parts": {name: part / whole for name, part in watch.seconds.items()},
        "seconds_of_parts": whole,
        "host_waits": waits,
        "flops": flops,
        "share_of_matrix_rate": flops / seconds / matrix_rate(device, torch.bfloat16),
        "epoch_hours": ROWS / batch * seconds / 3600,
        "peak_bytes": peak,
        "predicted_bytes": sum(cost.memory.values()),
    }


def _finite(result: StepResult) -> None:
    if result.skipped is not None or not bool(torch.isfinite(result.loss)):
        raise ValueError(f"expected a step with a finite loss, got {result.loss} ({result.skipped})")


def _shape(case: StepCase, inputs: StepInputs, pool: int) -> StepShape:
    encoder, training = inputs.learner.encoder, inputs.config.training
    batch = inputs.batches.sampler.batch_size
    if case.tower in SHAPES:
        tower = SHAPES[case.tower].tower
    else:
        transformer: Any = encoder.query_tower.modules[0]
        settings = transformer.model.config
        layers = getattr(settings, "num_hidden_layers", None) or settings.n_layers
        width = encoder.dimension
        tower = replace(SHAPES["DistilBERT"], width=width, layers=layers).tower
    tokens = (min(4, case.tokens) + case.tokens) // 2 if case.ragged else case.tokens
    return StepShape(
        tower,
        batch,
        pool,
        batch,
        query_tokens=tokens,
        label_tokens=tokens,
        labels=case.labels,
        score_parameters=1,
        engine="fused" if inputs.device.type == "cuda" else "tiled",
        micro_batch_tokens=training.micro_batch_tokens or encoder.query_tower.micro_batch_tokens,
    )


def _waits(inputs: StepInputs, step: int) -> dict[str, int]:
    """How often a step waits for the GPU, by the line of this repository that does."""
    root = Path(__file__).resolve().parents[1]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            optimise(inputs, step)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    lines = Counter[str]()
    for one in said:
        if "synchroniz" in str(one.message):
            path = Path(one.filename)
            name = path.relative_to(root) if path.is_relative_to(root) else path.name
            lines[f"{name}:{one.lineno}"] += 1
    return dict(lines.most_common())
