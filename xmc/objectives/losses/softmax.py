"""Softmax over all labels for every positive of a query (InfoNCE): positives compete with each other too.

Sources: van den Oord et al. 2018, equation 4; as a baseline of extreme classification, Gupta et al. 2024.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor
from typing_extensions import Unpack

from xmc.errors import ConfigError
from xmc.objectives.catalogue import facts_of
from xmc.objectives.objective import Objective, PositiveScores, Reduction
from xmc.objectives.public import loss_module, with_scoring_options
from xmc.objectives.statistics.log_partition import log_partition
from xmc.objectives.statistics.segments import row_log_sum_exp
from xmc.scoring import ScoreInputs, ScoringOptions
from xmc.scoring.positives import PositivesLike

__all__ = ["OverPositives", "Softmax", "log_partition_per_pair", "objective", "softmax", "softmax_rows"]

OverPositives = Literal["mean", "sum"]


def log_partition_per_pair(own: PositiveScores, log_negatives: Tensor) -> Tensor:
    """``log(sum_{c in P_i} e^{s_ic} + e^{n_i})`` for the row i of each pair: [P].

    Args:
        own: The positives' scores [P]; in the sum exactly once, however the negatives were sampled.
        log_negatives: [B], the log partition function n over each row's negatives, -inf where there are none.
    """
    # The statistic leaves positives out, and they are added here: once each, with their margins if any.
    log_positives = row_log_sum_exp(own.scores, own.positives)
    # exp(n) estimates the sum over negatives; positives are all there, so their sum is exact.
    return torch.logaddexp(log_positives[own.rows], log_negatives[own.rows])


def softmax_rows(
    own: PositiveScores, log_negatives: Tensor, over_positives: OverPositives = "mean"
) -> Tensor:
    """The loss of each row: the mean or the sum over its positives of minus the log of their softmax.

    Returns:
        [B], 0 for a row without positives.
    """
    losses = log_partition_per_pair(own, log_negatives) - own.scores
    return own.positives.row_mean(losses) if over_positives == "mean" else own.positives.row_sum(losses)


def objective(over_positives: OverPositives = "mean") -> Objective[Tensor]:
    """Softmax; see :func:`softmax`.

    Raises:
        ConfigError: For any other ``over_positives``.
    """
    if over_positives not in ("mean", "sum"):
        raise ConfigError(f"expected over_positives to be 'mean' or 'sum', got {over_positives!r}")
    value = partial(softmax_rows, over_positives=over_positives)
    return Objective(facts_of("softmax"), log_partition, value)


@with_scoring_options
def softmax(
    queries: Tensor,
    labels: Tensor,
    positives: PositivesLike,
    *,
    scale: float | Tensor = 20.0,
    reduction: Reduction = "mean",
    over_positives: OverPositives = "mean",
    **scoring: Unpack[ScoringOptions],
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
    inputs = ScoreInputs(queries, labels, positives, scale, **scoring)
    return objective(over_positives)(inputs, reduction)


Softmax = loss_module(objective)
