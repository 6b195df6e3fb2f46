"""One-versus-all binary cross-entropy: every label is a yes or no question of its own.

At a score of 0 all L labels but a few push down at once and drown the positives; a bias at the prior log odds
balances both sides from the first step on (the published run without it ended at P@1 0.1 on EURLex-4K).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from xmc.distributed import all_reduce_sum
from xmc.errors import ConfigError
from xmc.objectives.extra_negatives import ExtraNegatives
from xmc.objectives.module import ObjectiveModule
from xmc.objectives.negative_softplus import NegativeSoftplus
from xmc.objectives.reduction import Reduction
from xmc.objectives.runner import read_positives, run_objective
from xmc.scoring import LabelShard, Positives
from xmc.scoring.positives import PositivesLike
from xmc.scoring.reduction import DEFAULT_MEMORY_BYTES

__all__ = [
    "BinaryCrossEntropy",
    "OverLabels",
    "binary_cross_entropy",
    "binary_cross_entropy_rows",
    "prior_log_odds",
]

OverLabels = Literal["sum", "mean"]


def prior_log_odds(mean_positives: float, num_labels: float) -> float:
    """``log(p / (1 - p))`` of a label being positive, with ``p = mean_positives / num_labels``.

    As the bias of :func:`binary_cross_entropy`, scores around 0 then predict as many positives as there are.

    Args:
        mean_positives: Mean number of positives a query, above 0 and below ``num_labels``.
        num_labels: Labels that are scored, or that the scored sample stands for.

    Raises:
        ConfigError: When ``mean_positives`` is out of range.
    """
    if not 0 < mean_positives < num_labels:
        raise ConfigError(
            f"expected a mean number of positives between 0 and the {num_labels} labels, got {mean_positives}"
        )
    return math.log(mean_positives) - math.log(num_labels - mean_positives)


def binary_cross_entropy_rows(positive_scores: Tensor, negative_loss: Tensor, positives: Positives) -> Tensor:
    """``sum_{c in P_i} softplus(-s_ic) + sum_{j not in P_i} softplus(s_ij)`` of each row: [B].

    Args:
        positive_scores: [P].
        negative_loss: [B], the second sum.
        positives: P pairs of B rows; relevance weights weigh the first sum.
    """
    return positives.row_sum(F.softplus(-positive_scores)) + negative_loss


def binary_cross_entropy(
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
    bias: float | Tensor | None = None,
    over_labels: OverLabels = "sum",
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
    if over_labels not in ("sum", "mean"):
        raise ConfigError(f"expected over_labels to be 'sum' or 'mean', got {over_labels!r}")
    if extra is not None and extra.frozen is not None:
        raise ConfigError(
            "binary_cross_entropy takes no frozen labels, as its prior counts the labels it is given: turn "
            "negatives.memory off or use an objective of the softmax family"
        )
    pairs = read_positives(positives, queries, labels, shard)
    num_labels = _num_labels(labels, log_weights, shard)
    if bias is None:
        bias = _batch_log_odds(pairs, num_labels)
    loss = run_objective(
        NegativeSoftplus(),
        binary_cross_entropy_rows,
        queries,
        labels,
        pairs,
        scale=scale,
        offsets=_with_bias(offsets, bias, labels),
        log_weights=log_weights,
        reduction=reduction,
        shard=shard,
        implementation=implementation,
        memory_bytes=memory_bytes,
        extra=extra,
    )
    return loss if over_labels == "sum" else loss / num_labels


def _num_labels(labels: Tensor, log_weights: Tensor | None, shard: LabelShard | None) -> float:
    """How many labels the scored ones stand for, over all ranks."""
    shard = shard or LabelShard.whole(len(labels))
    if log_weights is None:
        return float(shard.total)
    return all_reduce_sum(log_weights.detach().double().exp().sum(), shard.world).item()


def _batch_log_odds(positives: Positives, num_labels: float) -> float:
    """:func:`prior_log_odds` of a batch, kept finite where no pair or every pair is positive."""
    pairs = max(positives.num_rows * num_labels, 1.0)
    share = min(max(len(positives), 0.5), pairs - 0.5) / pairs
    return math.log(share) - math.log1p(-share)


def _with_bias(offsets: Tensor | None, bias: float | Tensor, labels: Tensor) -> Tensor | None:
    if not isinstance(bias, Tensor) and bias == 0:
        return offsets
    dtype = torch.promote_types(labels.dtype, torch.float32)
    start = labels.new_zeros(len(labels), dtype=dtype) if offsets is None else offsets.to(dtype)
    return start + bias


class BinaryCrossEntropy(ObjectiveModule):
    """:func:`binary_cross_entropy` as a loss module."""

    def __init__(
        self,
        scale: float = 20.0,
        *,
        learn_scale: bool = False,
        implementation: str = "auto",
        bias: float | None = None,
        over_labels: OverLabels = "sum",
    ) -> None:
        """See :class:`xmc.objectives.module.ObjectiveModule` and :func:`binary_cross_entropy`."""
        objective = partial(binary_cross_entropy, bias=bias, over_labels=over_labels)
        super().__init__(objective, scale, learn_scale=learn_scale, implementation=implementation)
