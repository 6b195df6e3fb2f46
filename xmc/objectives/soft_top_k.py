"""Soft top-k: every positive is to be among the k labels whose soft indicators the row has to give away.

Source: Gupta et al., "Dual-Encoders for Extreme Multi-label Classification", ICLR 2024, section 5. The
published search starts from a bracket that does not hold for many labels (at L = 1,305,265 equal scores its
indicators add up to 59.3 instead of 5) and takes 32 passes; this one is exact and takes a handful.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from xmc.distributed import all_reduce_max
from xmc.errors import ConfigError
from xmc.objectives.extra_negatives import ExtraNegatives
from xmc.objectives.module import ObjectiveModule
from xmc.objectives.reduction import Reduction
from xmc.objectives.runner import read_positives, run_objective
from xmc.objectives.soft_threshold import SoftThreshold
from xmc.scoring import LabelShard, Positives
from xmc.scoring.dense import dense_scores
from xmc.scoring.positives import PositivesLike
from xmc.scoring.reduction import DEFAULT_MEMORY_BYTES, check_shapes

__all__ = ["SoftTopK", "TargetCount", "soft_top_k", "soft_top_k_rows"]

TargetCount = float | Literal["positives"]
SAMPLE_LABELS = 512


def soft_top_k_rows(positive_scores: Tensor, statistic: Tensor, positives: Positives, alpha: float) -> Tensor:
    """``-1/|P_i| sum_{c in P_i} log sigmoid(alpha (s_ic + t_i))`` of each row: [B], 0 without positives.

    Args:
        positive_scores: [P].
        statistic: [B, 2] of :class:`xmc.objectives.soft_threshold.SoftThreshold`; t is its first column.
        positives: P pairs of B rows; relevance weights weigh the mean.
        alpha: Steepness of the indicators.
    """
    thresholds = statistic[:, 0][positives.rows]
    return positives.row_mean(F.softplus(-alpha * (positive_scores + thresholds)))


def soft_top_k(
    queries: Tensor,
    labels: Tensor,
    positives: PositivesLike,
    *,
    scale: float | Tensor = 20.0,
    offsets: Tensor | None = None,
    log_weights: Tensor | None = None,
    reduction: Reduction = "mean",
    shard: LabelShard | None = None,
    implementation: str = "auto",
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    extra: ExtraNegatives | None = None,
    k: TargetCount = 5,
    alpha: float = 2.0,
) -> Tensor:
    """Soft top-k loss of queries [B, D] against labels [L, D].

    ``-1/B sum_i 1/|P_i| sum_{c in P_i} log p_ic``, ``p_ij = sigmoid(alpha (s_ij + t_i))`` and t_i such that
    ``sum_j p_ij = k``. Large alpha makes it the hard top-k. At most 6 passes over the labels and 8 small
    collectives, where the published search takes 32. Arguments as for
    :func:`xmc.objectives.decoupled_softmax`, and:

    Args:
        k: Indicators to give away, or "positives" for each row's number of positives. A row with more than k
            positives cannot reach a loss of 0. A row whose k reaches the number of labels has loss 0.
        alpha: Steepness of the indicators, in units of one over a score.

    Returns:
        A scalar, or [B] for ``reduction="none"``; equal on every rank.

    Raises:
        ConfigError: When shapes, ids or options do not fit, or k is not above 0 and below L.
    """
    if not alpha > 0:
        raise ConfigError(f"expected alpha above 0, got {alpha}")
    shard = shard or LabelShard.whole(len(labels))
    pairs = read_positives(positives, queries, labels, shard)
    targets = _targets(k, pairs, shard.total)
    check_shapes(queries, labels, pairs, offsets, log_weights, shard)
    low, high = _score_range(queries, labels, scale, offsets, shard)
    return run_objective(
        SoftThreshold(targets, alpha, low, high),
        partial(soft_top_k_rows, alpha=alpha),
        queries,
        labels,
        pairs,
        scale=scale,
        offsets=offsets,
        log_weights=log_weights,
        reduction=reduction,
        shard=shard,
        implementation=implementation,
        memory_bytes=memory_bytes,
        extra=extra,
    )


def _targets(k: TargetCount, positives: Positives, num_labels: int) -> Tensor:
    """Each row's target [B] float64; 1 for a row without positives, whose loss is 0 for any."""
    if k == "positives":
        return positives.row_counts().double().clamp_min(1.0)
    if isinstance(k, str) or not 0 < k < num_labels:
        raise ConfigError(
            f"expected k above 0 and below the {num_labels} labels, or 'positives' for a row's own number, "
            f"got {k!r}"
        )
    return torch.full((positives.num_rows,), float(k), dtype=torch.float64, device=positives.rows.device)


@torch.no_grad()
def _score_range(
    queries: Tensor, labels: Tensor, scale: float | Tensor, offsets: Tensor | None, shard: LabelShard
) -> tuple[Tensor, Tensor]:
    """About where each row's scores lie, [B] twice, from an even sample of the labels.

    One all-reduce of 2 B floats. Half the spread is added at the top, as the largest of many scores is beyond
    the largest of a sample.
    """
    stride = max(1, len(labels) // SAMPLE_LABELS)
    sampled = None if offsets is None else offsets[::stride]
    scores = dense_scores(queries, labels[::stride], torch.as_tensor(scale, device=queries.device), sampled)
    outside = scores.new_full((len(scores), 1), -torch.inf)
    ends = torch.stack([torch.cat([scores, outside], 1).amax(1), torch.cat([-scores, outside], 1).amax(1)])
    ends = all_reduce_max(ends, shard.world)
    low, high = -ends[1], ends[0]
    return low, high + (high - low) / 2


class SoftTopK(ObjectiveModule):
    """:func:`soft_top_k` as a loss module."""

    def __init__(
        self,
        scale: float = 20.0,
        *,
        learn_scale: bool = False,
        implementation: str = "auto",
        k: TargetCount = 5,
        alpha: float = 2.0,
    ) -> None:
        """See :class:`xmc.objectives.module.ObjectiveModule` and :func:`soft_top_k`."""
        objective = partial(soft_top_k, k=k, alpha=alpha)
        super().__init__(objective, scale, learn_scale=learn_scale, implementation=implementation)
