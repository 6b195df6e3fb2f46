"""Softmax over all labels for every positive of a query (InfoNCE): positives compete with each other too.

Sources: van den Oord et al. 2018, equation 4; as a baseline of extreme classification, Gupta et al. 2024.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor

from xmc.errors import ConfigError
from xmc.objectives.extra_negatives import ExtraNegatives
from xmc.objectives.log_partition import LogPartition
from xmc.objectives.module import ObjectiveModule
from xmc.objectives.reduction import Reduction
from xmc.objectives.runner import run_objective
from xmc.objectives.segments import row_log_sum_exp
from xmc.scoring import LabelShard, Positives
from xmc.scoring.positives import PositivesLike
from xmc.scoring.reduction import DEFAULT_MEMORY_BYTES

__all__ = ["OverPositives", "Softmax", "log_partition_per_pair", "softmax", "softmax_rows"]

OverPositives = Literal["mean", "sum"]


def log_partition_per_pair(positive_scores: Tensor, log_negatives: Tensor, positives: Positives) -> Tensor:
    """``log(sum_{c in P_i} e^{s_ic} + e^{n_i})`` for the row i of each pair: [P].

    Args:
        positive_scores: [P]; in the sum exactly once, however the negatives were sampled.
        log_negatives: [B], the log partition function n over each row's negatives, -inf where there are none.
        positives: P pairs of B rows.
    """
    log_positives = row_log_sum_exp(positive_scores, positives)
    return torch.logaddexp(log_positives[positives.rows], log_negatives[positives.rows])


def softmax_rows(
    positive_scores: Tensor,
    log_negatives: Tensor,
    positives: Positives,
    over_positives: OverPositives = "mean",
) -> Tensor:
    """The loss of each row: the mean or the sum over its positives of minus the log of their softmax.

    Returns:
        [B], 0 for a row without positives.

    Raises:
        ConfigError: For any other ``over_positives``.
    """
    losses = log_partition_per_pair(positive_scores, log_negatives, positives) - positive_scores
    if over_positives == "mean":
        return positives.row_mean(losses)
    if over_positives == "sum":
        return positives.row_sum(losses)
    raise ConfigError(f"expected over_positives to be 'mean' or 'sum', got {over_positives!r}")


def softmax(
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
    over_positives: OverPositives = "mean",
) -> Tensor:
    """Softmax cross-entropy of every positive of queries [B, D] against all labels [L, D].

    ``-1/B sum_i 1/|P_i| sum_{c in P_i} log(e^{s_ic} / sum_j e^{s_ij})`` with
    ``s_ij = scale * q_i.e_j + offset_j``. Arguments as for :func:`xmc.objectives.decoupled_softmax`, and:

    Args:
        over_positives: "mean" divides by the sum of a row's relevance weights (by ``|P_i|`` without weights);
            "sum" does not divide, so that rows with many positives count for more. Both are published.

    Returns:
        A scalar, or [B] for ``reduction="none"``; equal on every rank.

    Raises:
        ConfigError: When shapes, ids or options do not fit.
    """
    return run_objective(
        LogPartition(),
        partial(softmax_rows, over_positives=over_positives),
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


class Softmax(ObjectiveModule):
    """:func:`softmax` as a loss module."""

    def __init__(
        self,
        scale: float = 20.0,
        *,
        learn_scale: bool = False,
        implementation: str = "auto",
        over_positives: OverPositives = "mean",
    ) -> None:
        """See :class:`xmc.objectives.module.ObjectiveModule` and :func:`softmax`."""
        objective = partial(softmax, over_positives=over_positives)
        super().__init__(objective, scale, learn_scale=learn_scale, implementation=implementation)
