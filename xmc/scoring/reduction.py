"""The one door into scoring: positives' scores and a row statistic, by the implementation asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from xmc.distributed import all_reduce_sum
from xmc.errors import ConfigError
from xmc.scoring.dense import reduce_dense
from xmc.scoring.engine import Engine, Needed, Problem
from xmc.scoring.inputs import ScoreInputs, check_inputs
from xmc.scoring.statistic import RowStatistic
from xmc.scoring.tiled import TiledEngine

__all__ = ["IMPLEMENTATIONS", "check_implementation", "reduce_scores"]

IMPLEMENTATIONS = ("auto", "dense", "tiled", "triton")


def reduce_scores(inputs: ScoreInputs, statistic: RowStatistic) -> tuple[Tensor, Tensor]:
    """Scores ``scale * q.e + offset`` of the positives and a statistic of each row's scores, differentiable.

    Implementations: "dense"; "tiled", whose tiles take ``memory_bytes`` (when all scores fit, they are kept
    for the backward pass, which saves one of four matrix products); "triton", fused kernels for float32,
    bfloat16 and float16 on a GPU (float32 products in TF32 where torch's own may be:
    ``torch.set_float32_matmul_precision``), where ``memory_bytes`` is what a slab of slopes may take in the
    backward pass; or "auto": triton where it can serve what is given, else tiled.

    Args:
        inputs: What is scored, but for its ``extra``, which is left to
            :func:`xmc.objectives.extra_negatives.reduce_with_extra`.
        statistic: What to compute of each row.

    Returns:
        Positives' scores [P] and the statistic [B], over the labels of all ranks and equal on every rank.
        With W ranks: forward one all-reduce of P floats plus the statistic's own; backward none (gradients of
        queries and scale are this rank's part; :func:`xmc.distributed.all_gather_rows` sums the queries').

    Raises:
        ConfigError: For shapes that do not agree, or an implementation that is unknown, unfit for shards or
            cannot serve the tensors' device or type.
        DependencyError: For "triton" where Triton is not installed.
    """
    check_inputs(inputs)
    queries, labels = inputs.queries, inputs.labels
    if inputs.products is not None:
        queries, labels = queries.to(inputs.products), labels.to(inputs.products)
    scale = _scalar(inputs.scale, inputs.queries)
    check_implementation(inputs)
    if inputs.implementation == "dense":
        rounded = replace(inputs, queries=queries, labels=labels)
        return reduce_dense(rounded, statistic, scale)
    tensors = queries, labels, scale, inputs.offsets, inputs.log_weights
    engine = _engine(inputs, statistic)
    return _Reduction.apply(*tensors, inputs, statistic, engine)  # type: ignore[no-any-return, no-untyped-call]


class _Reduction(torch.autograd.Function):
    """The autograd frame of both engines: what is saved, what is asked for, where the scale goes."""

    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        labels: Tensor,
        scale: Tensor,
        offsets: Tensor | None,
        log_weights: Tensor | None,
        inputs: ScoreInputs,
        statistic: RowStatistic,
        make_engine: Callable[[Problem, Needed], Engine],
    ) -> tuple[Tensor, Tensor]:
        problem = Problem(queries, labels, scale, offsets, log_weights, inputs, statistic)
        ctx.engine = make_engine(problem, Needed(*ctx.needs_input_grad[:4]))
        positive_scores, value = ctx.engine.reduce()
        # A pair is scored by the rank that has its label and is 0 elsewhere: the sum tells every rank.
        all_reduce_sum(positive_scores, inputs.own_shard.world)
        # The engine holds these too; saved, they are known not to have been changed in place since.
        ctx.save_for_backward(queries, labels, scale, value, offsets, log_weights)
        return positive_scores, value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        queries, _, scale, value, *_ = ctx.saved_tensors
        # products = sum_j (d loss / d s_ij) e_j, the gradient by the queries before the scale. The scale's
        # own is sum_i q_i.products_i, as s = scale q.e + offset: it costs B D.
        products, grad_labels, grad_offsets = ctx.engine.gradients(value, *gradients)
        grad_scale = (products * queries).sum() if ctx.needs_input_grad[2] else None
        grad_queries = (products * scale).to(queries.dtype) if ctx.needs_input_grad[0] else None
        return grad_queries, grad_labels, grad_scale, grad_offsets, None, None, None, None


def check_implementation(inputs: ScoreInputs) -> None:
    """Check that the implementation is known and can work on shards.

    Raises:
        ConfigError: When it is not.
    """
    if inputs.implementation not in IMPLEMENTATIONS:
        raise ConfigError(
            f"expected implementation to be one of {', '.join(IMPLEMENTATIONS)}, got "
            f"{inputs.implementation!r}"
        )
    if inputs.implementation == "dense" and inputs.own_shard.world.size > 1:
        raise ConfigError(
            "the dense implementation holds all labels on one rank; use 'tiled' or 'auto' for shards"
        )


def _engine(inputs: ScoreInputs, statistic: RowStatistic) -> Callable[[Problem, Needed], Engine]:
    """The engine of an implementation other than "dense".

    Raises:
        XMCError: When "triton" cannot serve what is given.
    """
    queries, labels = inputs.queries, inputs.labels
    # A CPU that does not ask for them need not know of kernels.
    if inputs.implementation == "tiled" or (inputs.implementation == "auto" and not queries.is_cuda):
        return TiledEngine
    from xmc.scoring.fused.availability import chosen_by_auto, require_triton

    if inputs.implementation == "triton":
        require_triton(queries, labels, statistic)
    elif not chosen_by_auto(queries, labels, statistic):
        return TiledEngine
    from xmc.scoring.fused.engine import FusedEngine

    return FusedEngine


def _scalar(scale: float | Tensor, queries: Tensor) -> Tensor:
    dtype = torch.float64 if queries.dtype == torch.float64 else torch.float32
    tensor = torch.as_tensor(scale, dtype=dtype).to(queries.device)
    if tensor.numel() != 1:
        raise ConfigError(f"expected one scale for all scores, got a tensor of shape {list(tensor.shape)}")
    return tensor.reshape(())
