"""Scoring on a GPU, case by case: exactness against float64, time and memory."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.compiled_tiles import compiled_tiles
from benchmarks.gpu_timing import (
    matrix_rate,
    median_milliseconds,
    peak_extra_bytes,
    product_milliseconds,
)
from xmc.objectives import build_objective
from xmc.scoring import Positives, ScoreInputs, as_positives

__all__ = ["IMPLEMENTATIONS", "Case", "CheckCase", "TimeCase", "asked", "relative_errors", "run_case"]

IMPLEMENTATIONS = ("dense", "tiled", "compiled tiled", "triton")
NEEDED_PRODUCTS = 3
"""Products of B x L x D that no way of training both towers does without: scores and two gradients."""

COMPUTED_PRODUCTS = 4
"""Those of a way that holds no scores from the one pass to the other: it computes them again."""

POSITIVES_PER_QUERY = 4
TOLERANCES = {"float32": (1e-5, 1e-4), "bfloat16": (1e-3, 2e-2), "float16": (1e-3, 2e-2)}
"""Of the loss and of gradients, as shares of the largest number."""


class Case(Protocol):
    """One thing to find out, a dataclass of plain values; it travels to a process of its own."""

    kind: ClassVar[str]

    def measure(self, device: str) -> dict[str, Any]:
        """What was found on ``device``, "cuda" or "cpu", for JSON."""
        ...


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
    kind: ClassVar[str] = "check"

    def measure(self, device: str) -> dict[str, Any]:
        """See :class:`Case`."""
        return _check(self, device)


@dataclass(frozen=True)
class TimeCase:
    """Forward and backward pass of an objective with gradients to queries and labels."""

    implementation: str
    num_queries: int
    num_labels: int
    dimension: int
    dtype: str = "bfloat16"
    repeats: int = 20
    objective: str = "decoupled_softmax"
    kind: ClassVar[str] = "time"

    def measure(self, device: str) -> dict[str, Any]:
        """See :class:`Case`."""
        return _time(self, device)


def asked(case: Case) -> dict[str, Any]:
    """The kind of a case and its values."""
    return {"kind": case.kind, **asdict(case)}  # type: ignore[call-overload]


def run_case(case: Case, device: str) -> dict[str, Any]:
    """Run one case; an error of any kind is part of the answer.

    Returns:
        What was asked and what was found, for JSON. ``error`` is None, "out of memory", or the error's text.
    """
    try:
        return asked(case) | case.measure(device) | {"error": None}
    except torch.OutOfMemoryError:
        return asked(case) | {"error": "out of memory"}
    except Exception as error:  # whatever goes wrong in one case is to be read beside the others
        return asked(case) | {"error": f"{type(error).__name__}: {error}"}
    finally:
        gc.collect()
        if device == "cuda":
            _quietly(torch.cuda.empty_cache)


def relative_errors(found: dict[str, Tensor], exact: dict[str, Tensor]) -> dict[str, float]:
    """The largest error of each tensor, as a share of its largest number."""
    return {
        part: float(
            (found[part].double().cpu() - whole.double().cpu()).abs().max()
            / whole.double().abs().max().clamp_min(1e-12).cpu()
        )
        for part, whole in exact.items()
    }


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


def _inputs(case: CheckCase | TimeCase, device: str) -> tuple[Tensor, Tensor, Positives]:
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
    errors = relative_errors(found, results("dense", torch.float64))
    loss, gradients = TOLERANCES[case.dtype]
    within = all(error <= (loss if part == "loss" else gradients) for part, error in errors.items())
    repeatable = all(torch.equal(found[part], again[part]) for part in found)
    return {"errors": errors, "within_tolerance": within, "repeatable": repeatable}


def _time(case: TimeCase, device: str) -> dict[str, Any]:
    queries, labels, positives = _inputs(case, device)
    product = product_milliseconds(queries, labels, device, case.repeats)
    operations = 2.0 * len(queries) * len(labels) * case.dimension
    leaves = [queries.requires_grad_(), labels.requires_grad_()]
    name, context = _implementation(case.implementation, device)

    def step() -> None:
        loss = build_objective(case.objective)(ScoreInputs(*leaves, positives, implementation=name))
        torch.autograd.grad(loss, leaves)

    with context:
        step()
        extra = peak_extra_bytes(step, leaves) if device == "cuda" else None
        milliseconds = median_milliseconds(step, device, repeats=case.repeats)
    products, needed = milliseconds / product, NEEDED_PRODUCTS * operations / (milliseconds * 1e-3)
    share = needed / matrix_rate(device, queries.dtype)
    return {
        "milliseconds": milliseconds,
        "product_milliseconds": product,
        "product_flops_per_second": operations / (product * 1e-3),
        "products": products,
        "flops_per_second": needed,
        # What is needed over the time it took, as a share of the rate of the same shape's plain product, and
        # of a large square one.
        "share_of_rate": NEEDED_PRODUCTS / products,
        "share_of_matrix_rate": share,
        "share_of_matrix_rate_by_four": share * COMPUTED_PRODUCTS / NEEDED_PRODUCTS,
        "extra_bytes": extra,
        "share_of_scores": None if extra is None else extra / (4.0 * len(queries) * len(labels)),
    }
