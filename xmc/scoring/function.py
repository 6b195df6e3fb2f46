"""The autograd frame of tiled and fused scoring: what is saved, what is asked for, where the scale goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from xmc.distributed import World, all_reduce_sum
from xmc.scoring.positives import Positives
from xmc.scoring.statistic import RowStatistic

__all__ = ["Engine", "Gradients", "Needed", "Problem", "Settings", "reduce_with"]


@dataclass(frozen=True)
class Settings:
    """What :func:`xmc.scoring.reduce_scores` is given besides differentiable tensors."""

    positives: Positives
    statistic: RowStatistic
    start: int
    world: World
    memory_bytes: int


@dataclass(frozen=True)
class Problem:
    """The scores to reduce: queries [B, D], labels [l, D], a scalar scale, offsets [l], log weights [l]."""

    queries: Tensor
    labels: Tensor
    scale: Tensor
    offsets: Tensor | None
    log_weights: Tensor | None
    settings: Settings

    def own_pairs(self) -> tuple[Tensor, Tensor, slice]:
        """The rows and the columns of the positives within this rank's labels, and where they are in P."""
        positives, start = self.settings.positives, self.settings.start
        part = positives.label_slices([start, start + len(self.labels)])[0]
        return positives.rows[part], positives.labels[part] - start, part


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

    def gradients(self, value: Tensor, by_positive: Tensor, by_value: Tensor) -> Gradients:
        """From the statistic and the gradients by the positives' scores [P] and by the statistic."""
        ...


def reduce_with(
    make_engine: Callable[[Problem, Needed], Engine],
    queries: Tensor,
    labels: Tensor,
    scale: Tensor,
    offsets: Tensor | None,
    log_weights: Tensor | None,
    settings: Settings,
) -> tuple[Tensor, Tensor]:
    """See :func:`xmc.scoring.reduce_scores`."""
    return _Reduction.apply(  # type: ignore[no-any-return, no-untyped-call]
        queries, labels, scale, offsets, log_weights, settings, make_engine
    )


class _Reduction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        labels: Tensor,
        scale: Tensor,
        offsets: Tensor | None,
        log_weights: Tensor | None,
        settings: Settings,
        make_engine: Callable[[Problem, Needed], Engine],
    ) -> tuple[Tensor, Tensor]:
        problem = Problem(queries, labels, scale, offsets, log_weights, settings)
        ctx.engine = make_engine(problem, Needed(*ctx.needs_input_grad[:4]))
        positive_scores, value = ctx.engine.reduce()
        all_reduce_sum(positive_scores, settings.world)
        # The engine holds these too; saved, they are known not to have been changed in place since.
        ctx.save_for_backward(queries, labels, scale, value, offsets, log_weights)
        return positive_scores, value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        queries, _, scale, value, *_ = ctx.saved_tensors
        products, by_label, by_offset = ctx.engine.gradients(value, *gradients)
        by_scale = (products * queries).sum() if ctx.needs_input_grad[2] else None
        by_query = (products * scale).to(queries.dtype) if ctx.needs_input_grad[0] else None
        return by_query, by_label, by_scale, by_offset, None, None, None
