"""Log-spherical softmax: a softmax with the square of the score in place of the exponential.

It is even in the scores, so ranking is by the square (or by the score where all are positive).

Source: de Brebisson and Vincent, "An exploration of softmax alternatives belonging to the spherical loss
family", ICLR 2016.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from typing_extensions import Unpack

from xmc.errors import ConfigError
from xmc.objectives.catalogue import facts_of
from xmc.objectives.objective import Objective, Reduction
from xmc.objectives.public import loss_module, with_scoring_options
from xmc.objectives.statistics.moments import mean_over_positives, moments_of_negatives
from xmc.objectives.statistics.row_moments import RowMoments
from xmc.scoring import ScoreInputs, ScoringOptions
from xmc.scoring.positives import PositivesLike

__all__ = ["SphericalSoftmax", "objective", "spherical_softmax", "spherical_softmax_per_pair"]


def spherical_softmax_per_pair(scores: Tensor, moments: RowMoments, eps: float) -> Tensor:
    """Minus the log of ``(score^2 + eps) / sum_j (s_j^2 + eps)``, the sum from the moments: [P]."""
    # sum_j (s_j^2 + eps) = sum_j s_j^2 + n eps.
    return torch.log(moments.squares + moments.count * eps) - torch.log(scores.square() + eps)


def objective(eps: float = 1.0, decoupled: bool = False) -> Objective[RowMoments]:
    """Log-spherical softmax; see :func:`spherical_softmax`.

    Raises:
        ConfigError: When ``eps`` is not above 0.
    """
    if not eps > 0:
        raise ConfigError(f"expected eps above 0, got {eps}")
    value = mean_over_positives(partial(spherical_softmax_per_pair, eps=eps), decoupled)
    return Objective(facts_of("spherical_softmax"), moments_of_negatives, value)


@with_scoring_options
def spherical_softmax(
    queries: Tensor,
    labels: Tensor,
    positives: PositivesLike,
    *,
    scale: float | Tensor = 20.0,
    reduction: Reduction = "mean",
    eps: float = 1.0,
    decoupled: bool = False,
    **scoring: Unpack[ScoringOptions],
) -> Tensor:
    """Log-spherical softmax of queries [B, D] against labels [L, D].

    ``-1/B sum_i 1/|P_i| sum_{c in P_i} log((s_ic^2 + eps) / sum_j (s_ij^2 + eps))``. Cost: l D^2 for the
    labels and B D^2 for the queries, with no walk over labels. Arguments as for
    :func:`xmc.objectives.decoupled_softmax` (no ``memory_bytes`` needed; "tiled" and "triton" are "auto"; of
    ``extra`` the moments alone), and:

    Args:
        eps: Above 0, in units of a squared score; it bounds the gradient where a positive's score is near 0,
            and is to be tuned.
        decoupled: Leave a row's other positives out of the sum that a positive is held against.

    Returns:
        A scalar, or [B] for ``reduction="none"``; equal on every rank.

    Raises:
        ConfigError: When shapes, ids or options do not fit.
    """
    inputs = ScoreInputs(queries, labels, positives, scale, **scoring)
    return objective(eps, decoupled)(inputs, reduction)


SphericalSoftmax = loss_module(objective)
