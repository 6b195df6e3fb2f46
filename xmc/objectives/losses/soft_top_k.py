"""Soft top-k: every positive is to be among the k labels whose soft indicators the row has to give away.

Source: Gupta et al., "Dual-Encoders for Extreme Multi-label Classification", ICLR 2024, section 5. The
published search starts from a bracket that does not hold for many labels (at L = 1,305,265 equal scores its
indicators add up to 59.3 instead of 5) and takes 32 passes; this one is exact and takes a handful.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Unpack

from xmc.distributed import all_reduce_max
from xmc.errors import ConfigError, NonFiniteError
from xmc.objectives.catalogue import facts_of
from xmc.objectives.objective import Objective, PositiveScores, Reduction, StatisticOfScores
from xmc.objectives.public import loss_module, with_scoring_options
from xmc.objectives.statistics.soft_threshold import SoftThreshold
from xmc.scoring import Positives, ScoreInputs, ScoringOptions
from xmc.scoring.dense import dense_scores
from xmc.scoring.inputs import check_inputs
from xmc.scoring.positives import PositivesLike

__all__ = ["SoftTopK", "TargetCount", "objective", "soft_top_k", "soft_top_k_rows"]

TargetCount = float | Literal["positives"]
SAMPLE_LABELS = 512
NOTHING_TO_LEARN = 1e-6  # loss of a row whose positives are all far above the threshold


def soft_top_k_rows(own: PositiveScores, statistic: Tensor, alpha: float) -> Tensor:
    """``-1/|P_i| sum_{c in P_i} log sigmoid(alpha (s_ic + t_i))`` of each row: [B], 0 without positives.

    Args:
        own: The positives' scores [P]; relevance weights weigh the mean.
        statistic: [B, 2] of :class:`xmc.objectives.statistics.soft_threshold.SoftThreshold`, with t first.
        alpha: Steepness of the indicators.
    """
    thresholds = statistic[:, 0][own.rows]
    # -log sigmoid(x) = softplus(-x); a threshold of inf makes it 0, with a gradient of 0.
    rows = own.positives.row_mean(F.softplus(-alpha * (own.scores + thresholds)))
    if rows.requires_grad:
        _refuse_vanished(rows.detach(), statistic.detach(), alpha)
    return rows


def _refuse_vanished(rows: Tensor, statistic: Tensor, alpha: float) -> None:
    """Refuse rows whose threshold has lost its gradient to underflow while they have something to learn.

    A threshold moves with the labels next to it in proportion to ``p (1 - p)``, about ``exp(-alpha gap / 2)``
    where the k-th and the next score are a gap apart.
    """
    lost = torch.isfinite(statistic[:, 0]) & (statistic[:, 1] < torch.finfo(rows.dtype).tiny)
    if bool((lost & (rows > NOTHING_TO_LEARN)).any()):
        most = -2 * math.log(torch.finfo(rows.dtype).tiny)
        raise ConfigError(
            f"soft_top_k: expected alpha = {alpha:g} times the gap between the k-th and the next score of a "
            f"row below about {most:.0f}, beyond which the threshold's gradient is 0 in {rows.dtype}; lower "
            "alpha or the scale"
        )


def objective(k: TargetCount = 5, alpha: float = 2.0) -> Objective[Tensor]:
    """Soft top-k; see :func:`soft_top_k`.

    Raises:
        ConfigError: When ``alpha`` is not above 0.
    """
    if not alpha > 0:
        raise ConfigError(f"expected alpha above 0, got {alpha}")
    statistic = StatisticOfScores(partial(_soft_threshold, k=k, alpha=alpha))
    return Objective(facts_of("soft_top_k"), statistic, partial(soft_top_k_rows, alpha=alpha))


@with_scoring_options
def soft_top_k(
    queries: Tensor,
    labels: Tensor,
    positives: PositivesLike,
    *,
    scale: float | Tensor = 20.0,
    reduction: Reduction = "mean",
    k: TargetCount = 5,
    alpha: float = 2.0,
    **scoring: Unpack[ScoringOptions],
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
    inputs = ScoreInputs(queries, labels, positives, scale, **scoring)
    return objective(k, alpha)(inputs, reduction)


def _soft_threshold(inputs: ScoreInputs, k: TargetCount, alpha: float) -> SoftThreshold:
    """The statistic of a batch: its targets, and where its histograms begin and end."""
    targets = _targets(k, inputs.pairs, inputs.own_shard.total)
    check_inputs(inputs)
    return SoftThreshold(targets, alpha, *_score_range(inputs))


def _targets(k: TargetCount, positives: Positives, num_labels: int) -> Tensor:
    """Each row's target [B] float64; 1 for a row without positives, whose loss is 0 for any."""
    if k == "positives":
        # A threshold for a target of 0 would be -inf.
        return positives.row_counts().double().clamp_min(1.0)
    if isinstance(k, str) or not 0 < k < num_labels:
        raise ConfigError(
            f"expected k above 0 and below the {num_labels} labels, or 'positives' for a row's own number, "
            f"got {k!r}"
        )
    return torch.full((positives.num_rows,), float(k), dtype=torch.float64, device=positives.rows.device)


@torch.no_grad()
def _score_range(inputs: ScoreInputs) -> tuple[Tensor, Tensor]:
    """About where each row's scores lie, [B] twice, from an even sample of the labels.

    One all-reduce of 2 B + 1 floats. Half the spread is added at the top, as the largest of many scores is
    beyond the largest of a sample.

    Raises:
        NonFiniteError: When any rank's embeddings are not finite; a histogram of one rank's scores would
            fail there alone, and leave the others waiting.
    """
    queries, labels, offsets = inputs.queries, inputs.labels, inputs.offsets
    # The range only places a histogram's bins, of which the outermost take what is outside: a sample will do.
    stride = max(1, len(labels) // SAMPLE_LABELS)
    sampled = None if offsets is None else offsets[::stride]
    scale = torch.as_tensor(inputs.scale, device=queries.device)
    scores = dense_scores(queries, labels[::stride], scale, sampled)
    # A rank without labels has no largest score: -inf, which leaves the others' alone.
    outside = scores.new_full((len(scores), 1), -torch.inf)
    # The smallest as minus the largest of the negatives: one all-reduce.
    given = [part for part in (queries, labels, offsets, scale) if part is not None]
    broken = scores.new_tensor([not all(bool(torch.isfinite(part).all()) for part in given)])
    upper, lower = (torch.cat([part, outside], 1).amax(1) for part in (scores, -scores))
    # A maximum over ranks may lose a NaN; the flag cannot be lost.
    ends = all_reduce_max(
        torch.cat([upper, lower, broken]).nan_to_num(0.0, torch.inf, -torch.inf), inputs.own_shard.world
    )
    if bool(ends[-1]):
        raise NonFiniteError(
            "soft_top_k: expected finite embeddings, offsets and scale, got NaN or infinity on some rank: "
            "lower the learning rate or the scale, or clip gradients"
        )
    high, low = ends[: len(scores)], -ends[len(scores) : -1]
    return low, high + (high - low) / 2


SoftTopK = loss_module(objective)
