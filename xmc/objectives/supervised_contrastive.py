"""Supervised contrastive losses, with the mean over positives outside or inside the log.

Source: Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, equations 2 (out) and 3 (in), without
the factor temperature / base temperature of the authors' code.
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
from xmc.objectives.softmax import softmax_rows
from xmc.scoring import LabelShard, Positives
from xmc.scoring.positives import PositivesLike
from xmc.scoring.reduction import DEFAULT_MEMORY_BYTES

__all__ = [
    "MeanPosition",
    "SupervisedContrastive",
    "supervised_contrastive",
    "supervised_contrastive_in_rows",
]

MeanPosition = Literal["out", "in"]


def supervised_contrastive_in_rows(
    positive_scores: Tensor, log_negatives: Tensor, positives: Positives
) -> Tensor:
    """``L_in`` of each row: minus the log of the mean over its positives of their softmax.

    Relevance weights weigh the mean.

    Returns:
        [B], 0 for a row without positives.
    """
    weights = torch.ones_like(positive_scores)
    if positives.weights is not None:
        weights = positives.weights.to(positive_scores.dtype)
    log_total = row_log_sum_exp(weights.log(), positives)
    log_weighted = row_log_sum_exp(positive_scores + weights.log(), positives)
    log_positives = row_log_sum_exp(positive_scores, positives)
    # -inf - -inf is not a number: a row without positives is set aside before anything is subtracted.
    present = positives.row_counts() > 0
    log_weighted, log_total, log_positives = (
        torch.where(present, value, 0.0) for value in (log_weighted, log_total, log_positives)
    )
    losses = torch.logaddexp(log_positives, log_negatives) - (log_weighted - log_total)
    return torch.where(present, losses, 0.0)


def supervised_contrastive(
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
    mean: MeanPosition = "out",
) -> Tensor:
    """Supervised contrastive loss of queries [B, D] against labels [L, D].

    Out: ``-1/B sum_i 1/|P_i| sum_{c in P_i} log(e^{s_ic} / sum_j e^{s_ij})``, the same number as
    :func:`xmc.objectives.softmax` with the mean over positives. In:
    ``-1/B sum_i log(1/|P_i| sum_{c in P_i} e^{s_ic} / sum_j e^{s_ij})``, never larger, which is content when
    one positive scores high. Arguments as for :func:`xmc.objectives.decoupled_softmax`, and:

    Args:
        mean: Whether the mean over positives is "out" of the log or "in" it.

    Returns:
        A scalar, or [B] for ``reduction="none"``; equal on every rank.

    Raises:
        ConfigError: When shapes, ids or options do not fit.
    """
    if mean not in ("out", "in"):
        raise ConfigError(f"expected mean to be 'out' or 'in', got {mean!r}")
    return run_objective(
        LogPartition(),
        softmax_rows if mean == "out" else supervised_contrastive_in_rows,
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


class SupervisedContrastive(ObjectiveModule):
    """:func:`supervised_contrastive` as a loss module."""

    def __init__(
        self,
        scale: float = 20.0,
        *,
        learn_scale: bool = False,
        implementation: str = "auto",
        mean: MeanPosition = "out",
    ) -> None:
        """See :class:`xmc.objectives.module.ObjectiveModule` and :func:`supervised_contrastive`."""
        objective = partial(supervised_contrastive, mean=mean)
        super().__init__(objective, scale, learn_scale=learn_scale, implementation=implementation)
