"""Log-Taylor softmax: a softmax with ``1 + s + s^2 / 2`` in place of the exponential.

The expansion is at least 1/2 and falls below s = -1: there a higher score is the less likely one, so rank by
the expansion, or keep scores above -1. Sources: Vincent, de Brebisson and Bouthillier, NeurIPS 2015, arXiv
1412.7091; de Brebisson and Vincent, "An exploration of softmax alternatives belonging to the spherical loss
family", ICLR 2016.
"""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import Unpack

from xmc.objectives.catalogue import facts_of
from xmc.objectives.objective import Objective, Reduction
from xmc.objectives.public import loss_module, with_scoring_options
from xmc.objectives.statistics.moments import mean_over_positives, moments_of_negatives
from xmc.objectives.statistics.row_moments import RowMoments
from xmc.scoring import ScoreInputs, ScoringOptions
from xmc.scoring.positives import PositivesLike

__all__ = ["TaylorSoftmax", "objective", "taylor", "taylor_softmax", "taylor_softmax_per_pair"]


def taylor(scores: Tensor) -> Tensor:
    """``1 + s + s^2 / 2``, which is at least 1/2."""
    # As a sum of squares it cannot fall below 1/2 by rounding, and has a logarithm.
    return ((scores + 1).square() + 1) / 2


def taylor_softmax_per_pair(scores: Tensor, moments: RowMoments) -> Tensor:
    """Minus the log of ``taylor(score) / sum_j taylor(s_j)``, the sum from the moments: [P]."""
    # About the mean m the linear terms cancel: sum_j f(s_j) = n f(m) + scatter / 2, both above 0.
    return torch.log(moments.count * taylor(moments.mean) + moments.scatter / 2) - torch.log(taylor(scores))


def objective(decoupled: bool = False) -> Objective[RowMoments]:
    """Log-Taylor softmax; see :func:`taylor_softmax`."""
    value = mean_over_positives(taylor_softmax_per_pair, decoupled)
    return Objective(facts_of("taylor_softmax"), moments_of_negatives, value)


@with_scoring_options
def taylor_softmax(
    queries: Tensor,
    labels: Tensor,
    positives: PositivesLike,
    *,
    scale: float | Tensor = 20.0,
    reduction: Reduction = "mean",
    decoupled: bool = False,
    **scoring: Unpack[ScoringOptions],
) -> Tensor:
    """Log-Taylor softmax of queries [B, D] against labels [L, D].

    ``-1/B sum_i 1/|P_i| sum_{c in P_i} log(f(s_ic) / sum_j f(s_ij))`` with ``f(s) = 1 + s + s^2 / 2``. Cost:
    l D^2 for the labels and B D^2 for the queries, with no walk over labels. Arguments as for
    :func:`xmc.objectives.decoupled_softmax` (no ``memory_bytes`` needed; "tiled" and "triton" are "auto"; of
    ``extra`` the moments alone), and:

    Args:
        decoupled: Leave a row's other positives out of the sum that a positive is held against.

    Returns:
        A scalar, or [B] for ``reduction="none"``; equal on every rank.

    Raises:
        ConfigError: When shapes, ids or options do not fit.
    """
    inputs = ScoreInputs(queries, labels, positives, scale, **scoring)
    return objective(decoupled)(inputs, reduction)


TaylorSoftmax = loss_module(objective)
