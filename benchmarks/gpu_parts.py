"""What a step computes beside scores, on the device against float64 on the CPU: sums, tables, optimisers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.gpu_cases import relative_errors
from xmc.distributed import World
from xmc.encoders.static_modules import bag_of_rows
from xmc.objectives.statistics.row_histogram import RowHistogram
from xmc.scoring import Tile
from xmc.training.learned.config import ResidualConfig
from xmc.training.learned.optimisers.adamw import AdamW, ParameterGroup
from xmc.training.learned.optimisers.lazy_adam import lazy_adam_
from xmc.training.learned.optimisers.row_adagrad import RowAdagrad, row_adagrad_
from xmc.training.learned.optimisers.row_optimiser import (
    RowOptimiser,
    TouchedRows,
    row_rmsprop_,
)
from xmc.training.learned.optimisers.stochastic_rounding import StochasticRounding
from xmc.training.learned.residual_table import ResidualTable

__all__ = ["PARTS", "PartCase"]

TOLERANCE = 1e-5
BFLOAT16_TOLERANCE = 2.0**-7
"""A step that is rounded at random may differ by the last bit of a bfloat16 where the exact one does."""

Results = dict[str, Tensor]


@dataclass(frozen=True)
class PartCase:
    """One part in float32 (tables in bfloat16 where it says so) against the same in float64 on the CPU."""

    part: str
    rows: int = 20_011
    dimension: int = 96
    kind: ClassVar[str] = "part"

    def measure(self, device: str) -> dict[str, Any]:
        """See :class:`benchmarks.gpu_cases.Case`."""
        results = PARTS[self.part]
        found, again = (results(self, torch.device(device), torch.float32) for _ in range(2))
        errors = relative_errors(found, results(self, torch.device("cpu"), torch.float64))
        most = BFLOAT16_TOLERANCE if self.part.endswith("bfloat16") else TOLERANCE
        return {
            "errors": errors,
            "within_tolerance": all(error <= most for error in errors.values()),
            "repeatable": all(torch.equal(found[name], again[name]) for name in found),
        }

    def draws(self, dtype: torch.dtype, *shapes: tuple[int, ...], seed: int = 0) -> list[Tensor]:
        """The same numbers in every type: normal float32 ones of each shape, on the CPU."""
        generator = torch.Generator().manual_seed(seed)
        return [torch.randn(*shape, generator=generator).to(dtype) for shape in shapes]

    def steps(self, dtype: torch.dtype, count: int = 3) -> list[tuple[Tensor, Tensor]]:
        """For each of some steps: a third of the rows, distinct, and their gradients; on the CPU."""
        order = torch.Generator().manual_seed(7)
        chosen = [
            torch.randperm(self.rows, generator=order)[: self.rows // 3].sort()[0] for _ in range(count)
        ]
        shapes = [(len(rows), self.dimension) for rows in chosen]
        return list(zip(chosen, self.draws(dtype, *shapes, seed=1), strict=True))


def _histogram(case: PartCase, device: torch.device, dtype: torch.dtype) -> Results:
    """Weights of each bin: whole numbers times a weight, so that the order of sums is all there is to err."""
    (scores,) = case.draws(torch.float32, (case.dimension, case.rows))
    scores, weights = scores.to(device), torch.linspace(-1, 2, case.rows, device=device)
    masked = torch.arange(case.dimension, device=device), torch.arange(case.dimension, device=device)
    histogram = RowHistogram(scores.amin(1), scores.amax(1))
    for part, some in zip(scores.split(4096, 1), weights.split(4096), strict=True):
        pairs = masked if len(some) > case.dimension else None
        histogram.add(Tile(part.contiguous(), some, torch.empty_like(part), masked=pairs))
    histogram.merge(World())
    left, right, counts = histogram.bins()
    return {"left": left, "right": right, "weights": counts}


def _residuals(
    case: PartCase, device: torch.device, dtype: torch.dtype, *, kept_in: torch.dtype = torch.float32
) -> Results:
    """Three batches of a table of residuals, each joined to labels, carried back and stepped by Adagrad.

    In float32 on the CPU too, as what is read of a table always is.
    """
    config = ResidualConfig(enabled=True)
    table = ResidualTable(config, None, case.rows, case.dimension, 0, dtype=kept_in).to(device)
    rule = RowAdagrad(table.table)
    rounding = StochasticRounding(0, 0) if kept_in == torch.bfloat16 else None
    optimiser = RowOptimiser(table, rule, 0.1, rounding=rounding)
    for index, (rows, gradient) in enumerate(case.steps(torch.float32)):
        optimiser.zero_grad()
        labels = nn.functional.normalize(gradient.roll(1, 0).to(device), dim=1).requires_grad_()
        joined = table.join(labels, rows.numpy(), (0, len(rows)), index)
        (joined * gradient.to(device)).sum().backward()
        optimiser.gather(World())
        optimiser.step(1.0)
    return {"table": table.table, "squares": rule.squares}


def _row_rule(name: str, case: PartCase, device: torch.device, dtype: torch.dtype) -> Results:
    """Three steps of a rule on a third of the rows each, with scaled gradients."""
    table = case.draws(dtype, (case.rows, case.dimension))[0].to(device)
    kept = torch.zeros(case.rows, dtype=dtype, device=device)
    state: Results = {"table": table, "squares": kept}
    if name == "row_rmsprop":
        state["steps"] = torch.zeros_like(kept)
    if name == "lazy_adam":
        del state["squares"]
        state |= {"first": torch.zeros_like(table), "second": torch.zeros_like(table)}
        state["steps"] = torch.zeros_like(kept)
    step: Callable[..., None] = {
        "row_adagrad": row_adagrad_, "row_rmsprop": row_rmsprop_, "lazy_adam": lazy_adam_,
    }[name]  # fmt: skip
    for rows, gradient in case.steps(dtype):
        step(*state.values(), TouchedRows(rows.to(device), gradient.to(device), 0.5), 0.01)
    return state


def _token_bag(case: PartCase, device: torch.device, dtype: torch.dtype) -> Results:
    """Embeddings of ragged texts, some of them empty, and the rows of the table's sparse gradient."""
    table, weights = case.draws(dtype, (case.rows, case.dimension), (513, case.dimension))
    lengths = np.arange(513) % 11
    offsets = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]))
    ids = torch.from_numpy(np.random.default_rng(0).integers(case.rows, size=int(lengths.sum())))
    leaf = table.to(device).requires_grad_()
    bags = bag_of_rows(leaf, ids.to(device), offsets.to(device))
    bags.backward(weights.to(device))
    assert leaf.grad is not None
    return {"bags": bags.detach(), "gradient": leaf.grad.to_dense()}


def _adamw(case: PartCase, device: torch.device, dtype: torch.dtype) -> Results:
    """Three steps of fused AdamW on a matrix and a vector, with clipping and decay."""
    matrix, vector, *gradients = case.draws(
        dtype, (case.rows, case.dimension), (case.dimension,), *[(case.rows, case.dimension)] * 3
    )
    parameters = [nn.Parameter(tensor.to(device)) for tensor in (matrix, vector)]
    optimiser = AdamW([ParameterGroup(parameters, 0.01, weight_decay=0.1, clipped=True)])
    for gradient in gradients:
        optimiser.zero_grad()
        # A copy: `.to` the device that it is on already would leave the vector's a row of the matrix' own.
        parameters[0].grad, parameters[1].grad = gradient.to(device), gradient[0].clone().to(device)
        optimiser.shrink(0.3)
        optimiser.step(0.5)
    square = optimiser.clipped_square()
    assert square is not None
    return {"matrix": parameters[0].detach(), "vector": parameters[1].detach(), "norm": square}


PARTS: dict[str, Callable[[PartCase, torch.device, torch.dtype], Results]] = {
    "row histogram": _histogram,
    "residuals": _residuals,
    "residuals, bfloat16": partial(_residuals, kept_in=torch.bfloat16),
    "row_adagrad": partial(_row_rule, "row_adagrad"),
    "row_rmsprop": partial(_row_rule, "row_rmsprop"),
    "lazy_adam": partial(_row_rule, "lazy_adam"),
    "bag of tokens": _token_bag,
    "adamw": _adamw,
}
