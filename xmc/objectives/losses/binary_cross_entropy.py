"""One-versus-all binary cross-entropy: every label is a yes or no question of its own.

At a score of 0 all L labels but a few push down at once and drown the positives; a bias at the prior log odds
balances both sides from the first step on (the published run without it ended at P@1 0.1 on EURLex-4K).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Unpack

from xmc.errors import ConfigError
from xmc.objectives.catalogue import facts_of
from xmc.objectives.objective import Objective, PositiveScores, Reduction, StatisticOfScores
from xmc.objectives.public import loss_module, with_scoring_options
from xmc.objectives.statistics.negative_softplus import NegativeSoftplus
from xmc.scoring import Positives, ScoreInputs, ScoringOptions
from xmc.scoring.positives import PositivesLike

__all__ = [
    "BinaryCrossEntropy",
    "NegativeLoss",
    "OverLabels",
    "binary_cross_entropy",
    "binary_cross_entropy_rows",
    "objective",
    "prior_log_odds",
]

OverLabels = Literal["sum", "mean"]


def prior_log_odds(mean_positives: float, num_labels: float) -> float:
    """``log(p / (1 - p))`` of a label being positive, with ``p = mean_positives / num_labels``.

    As the bias of :func:`binary_cross_entropy`, scores around 0 then predict as many positives as there are.

    Args:
        mean_positives: Mean number of positives per query, above 0 and below ``num_labels``.
        num_labels: Labels that are scored, or that the scored sample stands for.

    Raises:
        ConfigError: When ``mean_positives`` is out of range.
    """
    if not 0 < mean_positives < num_labels:
        raise ConfigError(
            f"expected a mean number of positives between 0 and the {num_labels} labels, got {mean_positives}"
        )
    # log(p / (1 - p)) with p = m / L is log(m / (L - m)).
    return math.log(mean_positives) - math.log(num_labels - mean_positives)


class NegativeLoss(NamedTuple):
    """What one-versus-all knows of the rows besides their positives' scores.

    Attributes:
        total: [B], ``sum_{j not in P_i} softplus(s_ij)``.
        num_labels: How many labels the scored ones stand for.
    """

    total: Tensor
    num_labels: float


@dataclass(frozen=True)
class _NegativeLosses:
    """The statistic with a bias on every score; None takes the prior log odds of the batch.

    See :class:`xmc.objectives.objective.Statistic`.
    """

    bias: float | Tensor | None

    def __call__(self, inputs: ScoreInputs) -> tuple[PositiveScores, NegativeLoss]:
        """Raises ConfigError for frozen labels."""
        if inputs.extra is not None and inputs.extra.frozen is not None:
            raise ConfigError(
                "binary_cross_entropy takes no frozen labels, as its prior counts the labels it is given: "
                "turn negatives.memory off or use an objective of the softmax family"
            )
        num_labels = inputs.num_labels_stood_for()
        bias = _batch_log_odds(inputs.pairs, num_labels) if self.bias is None else self.bias
        # A bias is an offset that all labels share, so that scoring needs no second way to shift scores.
        inputs = replace(inputs, offsets=_with_bias(inputs.offsets, bias, inputs.labels))
        own, total = _negative_softplus(inputs)
        return own, NegativeLoss(total, num_labels)


_negative_softplus = StatisticOfScores(lambda inputs: NegativeSoftplus())


def binary_cross_entropy_rows(
    own: PositiveScores, negatives: NegativeLoss, over_labels: OverLabels = "sum"
) -> Tensor:
    """``sum_{c in P_i} softplus(-s_ic) + sum_{j not in P_i} softplus(s_ij)`` of each row: [B].

    Relevance weights weigh the first sum; "mean" divides by the number of labels.
    """
    # softplus(-s) = -log sigmoid(s) for a yes, softplus(s) = -log(1 - sigmoid(s)) for a no.
    rows = own.positives.row_sum(F.softplus(-own.scores)) + negatives.total
    return rows if over_labels == "sum" else rows / negatives.num_labels


def objective(bias: float | Tensor | None = None, over_labels: OverLabels = "sum") -> Objective[NegativeLoss]:
    """Binary cross-entropy; see :func:`binary_cross_entropy`.

    Raises:
        ConfigError: For any other ``over_labels``.
    """
    if over_labels not in ("sum", "mean"):
        raise ConfigError(f"expected over_labels to be 'sum' or 'mean', got {over_labels!r}")
    value = partial(binary_cross_entropy_rows, over_labels=over_labels)
    # The prior of a batch counts its positives, of which a draw has fewer.
    facts = replace(facts_of("binary_cross_entropy"), takes_sampled_positives=bias is not None)
    return Objective(facts, _NegativeLosses(bias), value)


@with_scoring_options
def binary_cross_entropy(
    queries: Tensor,
    labels: Tensor,
    positives: PositivesLike,
    *,
    scale: float | Tensor = 20.0,
    reduction: Reduction = "mean",
    bias: float | Tensor | None = None,
    over_labels: OverLabels = "sum",
    **scoring: Unpack[ScoringOptions],
) -> Tensor:
    """Binary cross-entropy of queries [B, D] against every label [L, D].

    ``1/B sum_i (sum_{c in P_i} softplus(-s_ic) + sum_{j not in P_i} softplus(s_ij))`` with
    ``s_ij = scale * q_i.e_j + offset_j + bias``. A row without positives counts with its negatives. Arguments
    as for :func:`xmc.objectives.decoupled_softmax`, and:

    Args:
        bias: Added to every score; a scalar tensor may be learned, 0 is the published form. None takes the
            prior log odds of this batch (:func:`prior_log_odds`), a constant. It does not change any ranking.
        over_labels: "sum" over labels, or "mean": divided by L (with ``log_weights``, by its estimate
            ``sum_j exp(log_weights_j)``), as in the published code.

    Returns:
        A scalar, or [B] for ``reduction="none"``; equal on every rank. With W ranks one all-reduce of B
        floats, and one of a single float when ``log_weights`` are given.

    Raises:
        ConfigError: When shapes, ids or options do not fit.
    """
    inputs = ScoreInputs(queries, labels, positives, scale, **scoring)
    return objective(bias, over_labels)(inputs, reduction)


def _batch_log_odds(positives: Positives, num_labels: float) -> float:
    """:func:`prior_log_odds` of a batch, kept finite where no pair or every pair is positive."""
    pairs = max(positives.num_rows * num_labels, 1.0)
    # Half a pair away from none and from all: log odds of at most about log(2 B L) either way.
    share = min(max(len(positives), 0.5), pairs - 0.5) / pairs
    return math.log(share) - math.log1p(-share)


def _with_bias(offsets: Tensor | None, bias: float | Tensor, labels: Tensor) -> Tensor | None:
    if not isinstance(bias, Tensor) and bias == 0:
        return offsets
    dtype = torch.promote_types(labels.dtype, torch.float32)
    start = labels.new_zeros(len(labels), dtype=dtype) if offsets is None else offsets.to(dtype)
    return start + bias


BinaryCrossEntropy = loss_module(objective)
