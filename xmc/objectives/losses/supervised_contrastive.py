"""Supervised contrastive losses, with the mean over positives outside or inside the log.

Source: Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, equations 2 (out) and 3 (in), without
the factor temperature / base temperature of the authors' code.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from typing_extensions import Unpack

from xmc.errors import ConfigError
from xmc.objectives.catalogue import facts_of
from xmc.objectives.losses.softmax import softmax_rows
from xmc.objectives.objective import Objective, PositiveScores, Reduction
from xmc.objectives.public import loss_module, with_scoring_options
from xmc.objectives.statistics.log_partition import log_partition
from xmc.objectives.statistics.segments import row_log_sum_exp
from xmc.scoring import ScoreInputs, ScoringOptions
from xmc.scoring.positives import PositivesLike

__all__ = [
    "MeanPosition",
    "SupervisedContrastive",
    "objective",
    "supervised_contrastive",
    "supervised_contrastive_in_rows",
]

MeanPosition = Literal["out", "in"]


def supervised_contrastive_in_rows(own: PositiveScores, log_negatives: Tensor) -> Tensor:
    """``L_in`` of each row: minus the log of the mean over its positives of their softmax.

    Relevance weights weigh the mean.

    Returns:
        [B], 0 for a row without positives.
    """
    positives = own.positives
    # Relevance weighs the mean in the numerator; in the denominator each positive counts once.
    weights = torch.ones_like(own.scores)
    if positives.weights is not None:
        weights = positives.weights.to(own.scores.dtype)
    # -log(sum_c w_c e^{s_c} / sum_c w_c / sum_j e^{s_j}), each of the three sums by its logarithm.
    log_total = row_log_sum_exp(weights.log(), positives)
    log_weighted = row_log_sum_exp(own.scores + weights.log(), positives)
    log_positives = row_log_sum_exp(own.scores, positives)
    # -inf - -inf is not a number: a row without positives is set aside before anything is subtracted.
    present = positives.row_counts() > 0
    log_weighted, log_total, log_positives = (
        torch.where(present, value, 0.0) for value in (log_weighted, log_total, log_positives)
    )
    losses = torch.logaddexp(log_positives, log_negatives) - (log_weighted - log_total)
    return torch.where(present, losses, 0.0)


def objective(mean: MeanPosition = "out") -> Objective[Tensor]:
    """Supervised contrastive loss; see :func:`supervised_contrastive`.

    Raises:
        ConfigError: For any other ``mean``.
    """
    if mean not in ("out", "in"):
        raise ConfigError(f"expected mean to be 'out' or 'in', got {mean!r}")
    value = softmax_rows if mean == "out" else supervised_contrastive_in_rows
    return Objective(facts_of("supervised_contrastive"), log_partition, value)


@with_scoring_options
def supervised_contrastive(
    queries: Tensor,
    labels: Tensor,
    positives: PositivesLike,
    *,
    scale: float | Tensor = 20.0,
    reduction: Reduction = "mean",
    mean: MeanPosition = "out",
    **scoring: Unpack[ScoringOptions],
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
    return objective(mean)(ScoreInputs(queries, labels, positives, scale, **scoring), reduction)


SupervisedContrastive = loss_module(objective)
