"""The autograd frame of tiled and fused scoring: what is saved, what is asked for, where the scale goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from xmc.distributed import World, all_reduce_sum
from xmc.scoring.inputs import ScoreInputs
from xmc.scoring.positives import Positives
from xmc.scoring.statistic import RowStatistic

__all__ = ["Engine", "Gradients", "Needed", "Problem", "reduce_with"]


@dataclass(frozen=True, eq=False)
class Problem:
    """The scores to reduce, inside autograd: its tensors are those that autograd hands over.

    Attributes:
        queries: [B, D].
        labels: [l, D].
        scale: A scalar.
        offsets: [l] or None.
        log_weights: [l] or None.
        inputs: What scoring was given; positives, shard and memory are read from it.
        statistic: What to compute of each row.
    """

    queries: Tensor
    labels: Tensor
    scale: Tensor
    offsets: Tensor | None
    log_weights: Tensor | None
    inputs: ScoreInputs
    statistic: RowStatistic

    @property
    def positives(self) -> Positives:
        """P pairs over the labels of all ranks."""
        return self.inputs.pairs

    @property
    def world(self) -> World:
        """The ranks that share the labels."""
        return self.inputs.own_shard.world


class Needed(NamedTuple):
    """Which inputs carry a gradient."""

    queries: bool
    labels: bool
    scale: bool
    offsets: bool


class Gradients(NamedTuple):
    """Gradients of a step over this rank's labels.

    Attributes:
        products: [B, D] by the queries before the scale, in float32 at least; zeros where not needed.
        labels: [l, D] in the labels' type, or None where not needed.
        offsets: [l], or None where not needed.
    """

    products: Tensor
    labels: Tensor | None
    offsets: Tensor | None


class Engine(Protocol):
    """One way to compute the scores of a problem and their gradients."""

    def reduce(self) -> tuple[Tensor, Tensor]:
        """The positives' scores [P], 0 for other ranks' labels, and the statistic over all ranks' labels."""
        ...

    def gradients(self, value: Tensor, grad_positives: Tensor, grad_value: Tensor) -> Gradients:
        """From the statistic and the gradients by the positives' scores [P] and by the statistic."""
        ...


def reduce_with(make_engine: Callable[[Problem, Needed], Engine], problem: Problem) -> tuple[Tensor, Tensor]:
    """See :func:`xmc.scoring.reduce_scores`."""
    tensors = problem.queries, problem.labels, problem.scale, problem.offsets, problem.log_weights
    return _Reduction.apply(*tensors, problem, make_engine)  # type: ignore[no-any-return, no-untyped-call]


class _Reduction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        labels: Tensor,
        scale: Tensor,
        offsets: Tensor | None,
        log_weights: Tensor | None,
        problem: Problem,
        make_engine: Callable[[Problem, Needed], Engine],
    ) -> tuple[Tensor, Tensor]:
        problem = Problem(queries, labels, scale, offsets, log_weights, problem.inputs, problem.statistic)
        ctx.engine = make_engine(problem, Needed(*ctx.needs_input_grad[:4]))
        positive_scores, value = ctx.engine.reduce()
        all_reduce_sum(positive_scores, problem.world)
        # The engine holds these too; saved, they are known not to have been changed in place since.
        ctx.save_for_backward(queries, labels, scale, value, offsets, log_weights)
        return positive_scores, value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        queries, _, scale, value, *_ = ctx.saved_tensors
        products, grad_labels, grad_offsets = ctx.engine.gradients(value, *gradients)
        grad_scale = (products * queries).sum() if ctx.needs_input_grad[2] else None
        grad_queries = (products * scale).to(queries.dtype) if ctx.needs_input_grad[0] else None
        return grad_queries, grad_labels, grad_scale, grad_offsets, None, None, None
