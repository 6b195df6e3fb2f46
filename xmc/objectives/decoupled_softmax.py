"""Decoupled softmax: each positive competes with the negatives alone, never with the other positives.

Source: Gupta et al., "Dual-Encoders for Extreme Multi-label Classification", ICLR 2024, section 4.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from xmc.objectives.extra_negatives import ExtraNegatives
from xmc.objectives.log_partition import LogPartition
from xmc.objectives.module import ObjectiveModule
from xmc.objectives.reduction import Reduction
from xmc.objectives.runner import run_objective
from xmc.scoring import LabelShard, Positives
from xmc.scoring.positives import PositivesLike
from xmc.scoring.reduction import DEFAULT_MEMORY_BYTES

__all__ = ["DecoupledSoftmax", "decoupled_softmax", "decoupled_softmax_rows"]


def decoupled_softmax_rows(positive_scores: Tensor, log_negatives: Tensor, positives: Positives) -> Tensor:
    """The loss of each row from its statistic: the mean over positives c of ``softplus(n_i - s_ic)``.

    Args:
        positive_scores: [P].
        log_negatives: [B], the log partition function n over each row's negatives.
        positives: P pairs of B rows; relevance weights weigh the mean.

    Returns:
        [B], 0 for a row without positives or without negatives.
    """
    return positives.row_mean(F.softplus(log_negatives[positives.rows] - positive_scores))


def decoupled_softmax(
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
) -> Tensor:
    """Decoupled softmax of queries against labels, with any number of positives a query.

    ``-1/B sum_i 1/|P_i| sum_{c in P_i} log(e^{s_ic} / (e^{s_ic} + sum_{j not in P_i} e^{s_ij}))`` with
    ``s_ij = scale * q_i.e_j + offset_j``.

    Args:
        queries: [B, D], normalised or raw.
        labels: [L, D], or this rank's shard [l, D].
        positives: SciPy CSR [B, L], torch sparse [B, L], boolean mask [B, L], or B lists of label ids;
            floating values are relevance weights.
        scale: One over the temperature; a scalar tensor may be learned. Use 1 for raw inner products.
        offsets: [L], a (learnable) offset a label, part of its score.
        log_weights: [L], minus the log of the probability that the label was sampled; corrects the partition
            function when ``labels`` are a sample.
        reduction: "mean" over the B rows, "sum", or "none" for [B].
        shard: Which labels these are when they are split over ranks.
        implementation: "auto", "tiled", "triton" or "dense"; see :func:`xmc.scoring.reduce_scores`.
        memory_bytes: What score tiles may take.
        extra: Negatives beside the weighted labels: pairs of certain weight, and frozen labels.

    Returns:
        A scalar, or [B] for ``reduction="none"``; equal on every rank.

    Raises:
        ConfigError: When shapes, ids or options do not fit.
    """
    return run_objective(
        LogPartition(),
        decoupled_softmax_rows,
        queries,
        labels,
        positives,
        scale=scale,
        offsets=offsets,
        log_weights=log_weights,
        reduction=reduction,
        shard=shard,
        implementation=implementation,
        memory_bytes=memory_bytes,
        extra=extra,
    )


class DecoupledSoftmax(ObjectiveModule):
    """:func:`decoupled_softmax` as a loss module."""

    def __init__(
        self, scale: float = 20.0, *, learn_scale: bool = False, implementation: str = "auto"
    ) -> None:
        """See :class:`xmc.objectives.module.ObjectiveModule`."""
        super().__init__(decoupled_softmax, scale, learn_scale=learn_scale, implementation=implementation)
