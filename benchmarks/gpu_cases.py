"""What ``benchmarks/gpu.py`` measures, case by case: exactness against float64, time and memory."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.compiled_tiles import compiled_tiles
from xmc.objectives import build_objective
from xmc.scoring import Positives, ScoreInputs, as_positives

__all__ = ["IMPLEMENTATIONS", "Case", "CheckCase", "TimeCase", "run_case"]

IMPLEMENTATIONS = ("dense", "tiled", "compiled tiled", "triton")
NEEDED_PRODUCTS = 3
"""Products of B x L x D that no way of training both towers does without: scores and two gradients."""

PRODUCT_LABELS = 1 << 17  # the plain product writes into one buffer of this many labels
POSITIVES_PER_QUERY = 4
TIMED_SECONDS = 3.0
TOLERANCES = {"float32": (1e-5, 1e-4), "bfloat16": (1e-3, 2e-2), "float16": (1e-3, 2e-2)}
"""Of the loss and of gradients, as shares of the largest number."""


@dataclass(frozen=True)
class CheckCase:
    """Loss and gradients of one objective against dense float64 on the same rounded embeddings."""

    objective: str
    implementation: str
    dtype: str
    num_queries: int
    num_labels: int
    dimension: int
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TimeCase:
    """Forward and backward pass of decoupled softmax with gradients to queries and labels."""

    implementation: str
    num_queries: int
    num_labels: int
    dimension: int
    dtype: str = "bfloat16"
    repeats: int = 20


Case = CheckCase | TimeCase


def run_case(case: Case, device: str) -> dict[str, Any]:
    """Run one case; an error of any kind is part of the answer.

    Returns:
        What was asked and what was found, for JSON. ``error`` is None, "out of memory", or the error's text.
    """
    kind = "check" if isinstance(case, CheckCase) else "time"
    asked = {"kind": kind, **asdict(case)}
    try:
        found = _check(case, device) if isinstance(case, CheckCase) else _time(case, device)
        return asked | found | {"error": None}
    except torch.OutOfMemoryError:
        return asked | {"error": "out of memory"}
    except Exception as error:  # whatever goes wrong in one case is to be read beside the others
        return asked | {"error": f"{type(error).__name__}: {error}"[:2000]}
    finally:
        gc.collect()
        if device == "cuda":
            _quietly(torch.cuda.empty_cache)


def _quietly(function: Callable[[], object]) -> None:
    """After a kernel's fault every call fails; the fault itself has been noted."""
    try:
        function()
    except RuntimeError:
        return


def _implementation(name: str, device: str) -> tuple[str, AbstractContextManager[None]]:
    if name == "compiled tiled":
        # Without a GPU what counts is that the functions trace and are right, not how fast C++ is compiled.
        return "tiled", compiled_tiles("inductor" if device == "cuda" else "eager")
    return name, nullcontext()


def _inputs(case: Case, device: str) -> tuple[Tensor, Tensor, Positives]:
    generator = torch.Generator(device).manual_seed(0)
    dtype = getattr(torch, case.dtype)

    def normalised(count: int) -> Tensor:
        made = torch.empty(count, case.dimension, dtype=dtype, device=device)
        return F.normalize(made.normal_(generator=generator), dim=1)

    queries, labels = normalised(case.num_queries), normalised(case.num_labels)
    chosen = torch.randint(
        case.num_labels, (case.num_queries, POSITIVES_PER_QUERY), generator=generator, device=device
    )
    lists = chosen.tolist()
    # A row without positives is part of every check.
    lists[-1] = []
    return queries, labels, as_positives(lists, case.num_queries, case.num_labels, device)


def _check(case: CheckCase, device: str) -> dict[str, Any]:
    queries, labels, positives = _inputs(case, device)
    generator = torch.Generator(device).manual_seed(1)
    offsets = torch.randn(len(labels), generator=generator, device=device)
    log_weights = torch.rand(len(labels), generator=generator, device=device)
    scale = torch.tensor(15.0, device=device)

    def results(implementation: str, dtype: torch.dtype) -> dict[str, Tensor]:
        wide = torch.promote_types(dtype, torch.float32)
        given = {"queries": queries.to(dtype), "labels": labels.to(dtype)}
        given |= {"scale": scale.to(wide), "offsets": offsets.to(wide)}
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in given.items()}
        scored = ScoreInputs(
            positives=positives, log_weights=log_weights.to(wide), implementation=implementation, **leaves
        )
        loss = build_objective(case.objective, case.options)(scored)
        gradients = torch.autograd.grad(loss, list(leaves.values()))
        return {"loss": loss.detach(), **dict(zip(leaves, gradients, strict=True))}

    name, context = _implementation(case.implementation, device)
    with context:
        # Twice, as the same sums in another order would show in the last bits.
        found = results(name, getattr(torch, case.dtype))
        again = results(name, getattr(torch, case.dtype))
    # Of the rounded embeddings, so that what is told apart is the arithmetic, not the inputs' precision.
    exact = results("dense", torch.float64)
    errors = {
        part: float((found[part].double() - whole).abs().max() / whole.abs().max().clamp_min(1e-12))
        for part, whole in exact.items()
    }
    loss, gradients = TOLERANCES[case.dtype]
    within = all(error <= (loss if part == "loss" else gradients) for part, error in errors.items())
    repeatable = all(torch.equal(found[part], again[part]) for part in found)
    return {"errors": errors, "within_tolerance": within, "repeatable": repeatable}


def _time(case: TimeCase, device: str) -> dict[str, Any]:
    queries, labels, positives = _inputs(case, device)
    product = _milliseconds(lambda: _product(queries, labels), case.repeats, device)
    rate = 2.0 * len(queries) * len(labels) * case.dimension / (product * 1e-3)
    leaves = [queries.requires_grad_(), labels.requires_grad_()]
    name, context = _implementation(case.implementation, device)

    def step() -> None:
        loss = build_objective("decoupled_softmax")(ScoreInputs(*leaves, positives, implementation=name))
        torch.autograd.grad(loss, leaves)

    with context:
        step()
        extra = _peak_extra_bytes(step, leaves) if device == "cuda" else None
        milliseconds = _milliseconds(step, case.repeats, device)
    products = milliseconds / product
    return {
        "milliseconds": milliseconds,
        "product_milliseconds": product,
        "product_flops_per_second": rate,
        "products": products,
        # What is needed over the time it took, as a share of the rate that the plain product reached.
        "share_of_rate": NEEDED_PRODUCTS / products,
        "extra_bytes": extra,
        "share_of_scores": None if extra is None else extra / (4.0 * len(queries) * len(labels)),
    }


def _product(queries: Tensor, labels: Tensor) -> None:
    """All scores once, in the embeddings' type, into one buffer."""
    width = min(PRODUCT_LABELS, len(labels))
    out = queries.new_empty(len(queries), width)
    with torch.no_grad():
        for start in range(0, len(labels), width):
            part = labels[start : start + width]
            torch.mm(queries, part.T, out=out[:, : len(part)])


def _milliseconds(function: Callable[[], object], repeats: int, device: str) -> float:
    """The median of up to ``repeats`` runs after one to warm up, at least 3, for about three seconds."""
    function()
    taken: list[float] = []
    started = time.perf_counter()
    while len(taken) < min(3, repeats) or (
        len(taken) < repeats and time.perf_counter() - started < TIMED_SECONDS
    ):
        taken.append(_once(function, device))
    return statistics.median(taken)


def _once(function: Callable[[], object], device: str) -> float:
    if device != "cuda":
        begun = time.perf_counter()
        function()
        return (time.perf_counter() - begun) * 1e3
    # Events are on the GPU's own clock: launching is asynchronous, and the host's clock would time that.
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    function()
    stop.record()
    torch.cuda.synchronize()
    return start.elapsed_time(stop)


def _peak_extra_bytes(step: Callable[[], object], leaves: list[Tensor]) -> int:
    """Beyond the inputs and the gradients that any way has to return."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    returned = sum(leaf.numel() * leaf.element_size() for leaf in leaves)
    return max(0, torch.cuda.max_memory_allocated() - before - returned)
