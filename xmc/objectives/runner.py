"""What every objective on a row statistic does alike: read the positives, run scoring, reduce the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from xmc.objectives.extra_negatives import ExtraNegatives, reduce_with_extra
from xmc.objectives.reduction import Reduction, reduce_rows
from xmc.scoring import LabelShard, Positives, RowStatistic, as_positives, reduce_scores
from xmc.scoring.positives import PositivesLike

__all__ = ["RowValue", "read_positives", "run_objective"]

RowValue = Callable[[Tensor, Tensor, Positives], Tensor]
"""Row losses [B] from the positives' scores [P], the statistic [B, ...] and the positives, in plain torch."""


def read_positives(
    positives: PositivesLike, queries: Tensor, labels: Tensor, shard: LabelShard | None
) -> Positives:
    """The positives over the labels of all ranks, on the queries' device."""
    total = len(labels) if shard is None else shard.total
    return as_positives(positives, len(queries), total, queries.device)


def run_objective(
    statistic: RowStatistic,
    value: RowValue,
    queries: Tensor,
    labels: Tensor,
    positives: PositivesLike,
    *,
    scale: float | Tensor,
    offsets: Tensor | None,
    log_weights: Tensor | None,
    reduction: Reduction,
    shard: LabelShard | None,
    implementation: str,
    memory_bytes: int,
    extra: ExtraNegatives | None = None,
) -> Tensor:
    """The objective that ``statistic`` and ``value`` make; see :func:`xmc.objectives.decoupled_softmax`.

    Embeddings may come out of autocast; nothing here is computed in its precision.

    Returns:
        A scalar, or [B] for ``reduction="none"``; equal on every rank.
    """
    pairs = read_positives(positives, queries, labels, shard)
    given: dict[str, Any] = {
        "scale": scale,
        "offsets": offsets,
        "log_weights": log_weights,
        "shard": shard,
        "implementation": implementation,
        "memory_bytes": memory_bytes,
    }
    with torch.autocast(queries.device.type, enabled=False):
        if extra is None:
            scores, of_rows = reduce_scores(queries, labels, pairs, statistic, **given)
        else:
            scores, of_rows = reduce_with_extra(queries, labels, pairs, statistic, extra, **given)
        return reduce_rows(value(scores, of_rows, pairs), reduction)
