"""The one door into scoring: positives' scores and a row statistic, by the implementation asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from xmc.distributed import World
from xmc.errors import ConfigError
from xmc.scoring.dense import reduce_dense
from xmc.scoring.function import Engine, Needed, Problem, Settings, reduce_with
from xmc.scoring.fused.availability import chosen_by_auto, require_triton
from xmc.scoring.positives import Positives
from xmc.scoring.statistic import RowStatistic
from xmc.scoring.tiled import TiledEngine

__all__ = ["DEFAULT_MEMORY_BYTES", "IMPLEMENTATIONS", "LabelShard", "check_shapes", "reduce_scores"]

IMPLEMENTATIONS = ("auto", "dense", "tiled", "triton")
DEFAULT_MEMORY_BYTES = 256 << 20


@dataclass(frozen=True)
class LabelShard:
    """Where a rank's labels begin among all: from ``start`` on, of ``total``, shared with ``world``.

    A shard may be of any size, so bounds can be uneven; the shards of all ranks must cover ``range(total)``.
    """

    start: int
    total: int
    world: World

    @classmethod
    def whole(cls, num_labels: int) -> LabelShard:
        """All labels on one rank."""
        return cls(0, num_labels, World())


def reduce_scores(
    queries: Tensor,
    labels: Tensor,
    positives: Positives,
    statistic: RowStatistic,
    *,
    scale: float | Tensor = 20.0,
    offsets: Tensor | None = None,
    log_weights: Tensor | None = None,
    shard: LabelShard | None = None,
    implementation: str = "auto",
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
) -> tuple[Tensor, Tensor]:
    """Scores ``scale * q.e + offset`` of the positives and a statistic of each row's scores, differentiable.

    Args:
        queries: [B, D], the same on every rank.
        labels: [l, D], this rank's labels.
        positives: P pairs over all L labels, the same on every rank.
        statistic: What to compute of each row.
        scale: One over the temperature; a tensor of one element may carry a gradient.
        offsets: [l], added to every score of a label; may carry a gradient.
        log_weights: [l], minus the log inclusion probability of this rank's labels; they weigh labels in the
            statistic and leave positives' scores alone.
        shard: Which labels these are; all of them when None.
        implementation: "dense"; "tiled"; "triton", fused kernels for float32, bfloat16 and float16 on a GPU
            (float32 products in TF32 where torch's own may be: ``torch.set_float32_matmul_precision``); or
            "auto": triton where it can serve what is given, else tiled.
        memory_bytes: For "tiled": what score tiles may take. When all scores fit, they are kept for the
            backward pass, which saves one of four matrix products. For "triton": what a slab of slopes may
            take in the backward pass.

    Returns:
        Positives' scores [P] and the statistic [B], over the labels of all ranks and equal on every rank.
        With W ranks: forward one all-reduce of P floats plus the statistic's own; backward none (gradients of
        queries and scale are this rank's part; :func:`xmc.distributed.all_gather_rows` sums the queries').

    Raises:
        ConfigError: For shapes that do not agree, or an implementation that is unknown, unfit for shards or
            cannot serve the tensors' device or type.
        DependencyError: For "triton" where Triton is not installed.
    """
    shard = shard or LabelShard.whole(len(labels))
    check_shapes(queries, labels, positives, offsets, log_weights, shard)
    scale = _scalar(scale, queries)
    if implementation == "dense":
        if shard.world.size > 1:
            raise ConfigError(
                "the dense implementation holds all labels on one rank; use 'tiled' or 'auto' for shards"
            )
        return reduce_dense(
            queries, labels, positives, statistic, scale=scale, offsets=offsets, log_weights=log_weights
        )
    if implementation not in IMPLEMENTATIONS:
        raise ConfigError(
            f"expected implementation to be one of {', '.join(IMPLEMENTATIONS)}, got {implementation!r}"
        )
    engine = _engine(implementation, queries, labels, statistic)
    settings = Settings(positives, statistic, shard.start, shard.world, memory_bytes)
    return reduce_with(engine, queries, labels, scale, offsets, log_weights, settings)


def _engine(
    implementation: str, queries: Tensor, labels: Tensor, statistic: RowStatistic
) -> Callable[[Problem, Needed], Engine]:
    """The engine of an implementation other than "dense".

    Raises:
        XMCError: When "triton" cannot serve what is given.
    """
    if implementation == "triton":
        require_triton(queries, labels, statistic)
    elif implementation == "tiled" or not chosen_by_auto(queries, labels, statistic):
        return TiledEngine
    from xmc.scoring.fused.engine import FusedEngine

    return FusedEngine


def check_shapes(
    queries: Tensor,
    labels: Tensor,
    positives: Positives,
    offsets: Tensor | None,
    log_weights: Tensor | None,
    shard: LabelShard,
) -> None:
    """Check that what scoring is given fits together.

    Raises:
        ConfigError: When it does not; the text names what.
    """
    if queries.ndim != 2 or labels.ndim != 2 or queries.shape[1] != labels.shape[1]:
        raise ConfigError(
            f"expected queries [B, D] and labels [l, D] of one dimension D, got {list(queries.shape)} and "
            f"{list(labels.shape)}"
        )
    if (positives.num_rows, positives.num_labels) != (len(queries), shard.total):
        raise ConfigError(
            f"expected positives of {len(queries)} rows and {shard.total} labels, got {positives.num_rows} "
            f"rows and {positives.num_labels} labels"
        )
    if not 0 <= shard.start <= shard.start + len(labels) <= shard.total or (
        shard.world.size == 1 and len(labels) != shard.total
    ):
        raise ConfigError(
            f"expected a shard within the {shard.total} labels, and all of them on one rank, got "
            f"{len(labels)} labels from {shard.start} on in a world of {shard.world.size}"
        )
    if log_weights is not None and log_weights.requires_grad:
        raise ConfigError(
            "expected log_weights without a gradient, got one that requires it; learn offsets instead"
        )
    for name, vector in (("offsets", offsets), ("log_weights", log_weights)):
        if vector is not None and vector.shape != (len(labels),):
            raise ConfigError(
                f"expected {name} of shape [{len(labels)}], one a label, got {list(vector.shape)}"
            )


def _scalar(scale: float | Tensor, queries: Tensor) -> Tensor:
    dtype = torch.float64 if queries.dtype == torch.float64 else torch.float32
    tensor = torch.as_tensor(scale, dtype=dtype).to(queries.device)
    if tensor.numel() != 1:
        raise ConfigError(f"expected one scale for all scores, got a tensor of shape {list(tensor.shape)}")
    return tensor.reshape(())
