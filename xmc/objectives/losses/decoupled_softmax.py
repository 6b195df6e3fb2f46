"""Decoupled softmax: each positive competes with the negatives alone, never with the other positives.

Source: Gupta et al., "Dual-Encoders for Extreme Multi-label Classification", ICLR 2024, section 4.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Unpack

from xmc.objectives.catalogue import facts_of
from xmc.objectives.objective import Objective, PositiveScores, Reduction
from xmc.objectives.public import loss_module, with_scoring_options
from xmc.objectives.statistics.log_partition import log_partition
from xmc.scoring import ScoreInputs, ScoringOptions
from xmc.scoring.positives import PositivesLike

__all__ = ["DecoupledSoftmax", "decoupled_softmax", "decoupled_softmax_rows", "objective"]


def decoupled_softmax_rows(own: PositiveScores, log_negatives: Tensor) -> Tensor:
    """The loss of each row from its statistic: the mean over positives c of ``softplus(n_i - s_ic)``.

    Args:
        own: The positives' scores [P]; relevance weights weigh the mean.
        log_negatives: [B], the log partition function n over each row's negatives.

    Returns:
        [B], 0 for a row without positives or without negatives.
    """
    # -log(e^s / (e^s + e^n)) = log(1 + e^(n - s)); 0 for n = -inf (no negatives).
    return own.positives.row_mean(F.softplus(log_negatives[own.rows] - own.scores))


def objective() -> Objective[Tensor]:
    """Decoupled softmax; see :func:`decoupled_softmax`."""
    return Objective(facts_of("decoupled_softmax"), log_partition, decoupled_softmax_rows)


@with_scoring_options
def decoupled_softmax(
    queries: Tensor,
    labels: Tensor,
    positives: PositivesLike,
    *,
    scale: float | Tensor = 20.0,
    reduction: Reduction = "mean",
    **scoring: Unpack[ScoringOptions],
) -> Tensor:
    """Decoupled softmax of queries against labels, with any number of positives per query.

    ``-1/B sum_i 1/|P_i| sum_{c in P_i} log(e^{s_ic} / (e^{s_ic} + sum_{j not in P_i} e^{s_ij}))`` with
    ``s_ij = scale * q_i.e_j + offset_j``.

    Args:
        queries: [B, D], normalised or raw.
        labels: [L, D], or this rank's shard [l, D].
        positives: SciPy CSR [B, L], torch sparse [B, L], boolean mask [B, L], or B lists of label ids;
            floating values are relevance weights.
        scale: One over the temperature; a scalar tensor may be learned. Use 1 for raw inner products.
        offsets: [L], a (learnable) offset per label, part of its score.
        log_weights: [L], minus the log of the probability that the label was sampled; corrects the partition
            function when ``labels`` are a sample.
        reduction: "mean" over the B rows, "sum", or "none" for [B].
        shard: Which labels these are when they are split over ranks.
        implementation: "auto", "tiled", "triton" or "dense"; see :func:`xmc.scoring.reduce_scores`.
        memory_bytes: What score tiles may take; None for what suits the device.
        extra: Negatives beside the weighted labels: pairs of certain weight, and frozen labels.
        masked: Pairs in any form of ``positives`` that are neither positive nor negative.
        apart: Rows with log weights of their own.

    Returns:
        A scalar, or [B] for ``reduction="none"``; equal on every rank.

    Raises:
        ConfigError: When shapes, ids or options do not fit.
    """
    return objective()(ScoreInputs(queries, labels, positives, scale, **scoring), reduction)


DecoupledSoftmax = loss_module(objective)
