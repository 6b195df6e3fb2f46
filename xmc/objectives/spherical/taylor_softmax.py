"""Log-Taylor softmax: a softmax with ``1 + s + s^2 / 2`` in place of the exponential.

The expansion is at least 1/2 and falls below s = -1: there a higher score is the less likely one, so rank by
the expansion, or keep scores above -1. Sources: Vincent, de Brebisson and Bouthillier, NeurIPS 2015, arXiv
1412.7091; de Brebisson and Vincent, "An exploration of softmax alternatives belonging to the spherical loss
family", ICLR 2016.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from xmc.objectives.extra_negatives import ExtraNegatives
from xmc.objectives.module import ObjectiveModule
from xmc.objectives.reduction import Reduction
from xmc.objectives.spherical.row_moments import RowMoments
from xmc.objectives.spherical.runner import SphericalValue, mean_over_positives, run_spherical
from xmc.scoring import LabelShard
from xmc.scoring.positives import PositivesLike
from xmc.scoring.reduction import DEFAULT_MEMORY_BYTES

__all__ = ["TaylorSoftmax", "taylor", "taylor_softmax", "taylor_softmax_per_pair", "taylor_softmax_value"]


def taylor(scores: Tensor) -> Tensor:
    """``1 + s + s^2 / 2``, which is at least 1/2."""
    return ((scores + 1).square() + 1) / 2


def taylor_softmax_per_pair(scores: Tensor, moments: RowMoments) -> Tensor:
    """Minus the log of ``taylor(score) / sum_j taylor(s_j)``, the sum from the moments: [P]."""
    return torch.log(moments.count * taylor(moments.mean) + moments.scatter / 2) - torch.log(taylor(scores))


def taylor_softmax_value(*, decoupled: bool = False) -> SphericalValue:
    """The row losses of :func:`taylor_softmax` from scores and moments."""
    return mean_over_positives(taylor_softmax_per_pair, decoupled)


def taylor_softmax(
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
    decoupled: bool = False,
) -> Tensor:
    """Log-Taylor softmax of queries [B, D] against labels [L, D].

    ``-1/B sum_i 1/|P_i| sum_{c in P_i} log(f(s_ic) / sum_j f(s_ij))`` with ``f(s) = 1 + s + s^2 / 2``. Cost:
    l D^2 for the labels and B D^2 for the queries, with no walk over labels. Arguments as for
    :func:`xmc.objectives.decoupled_softmax` (no ``memory_bytes`` needed; "tiled" and "triton" are "auto"; of
    ``extra`` the moments alone),
    and:

    Args:
        decoupled: Leave a row's other positives out of the sum that a positive is held against.

    Returns:
        A scalar, or [B] for ``reduction="none"``; equal on every rank.

    Raises:
        ConfigError: When shapes, ids or options do not fit.
    """
    return run_spherical(
        taylor_softmax_value(decoupled=decoupled),
        queries,
        labels,
        positives,
        scale=scale,
        offsets=offsets,
        log_weights=log_weights,
        reduction=reduction,
        shard=shard,
        implementation=implementation,
        extra=extra,
    )


class TaylorSoftmax(ObjectiveModule):
    """:func:`taylor_softmax` as a loss module."""

    def __init__(
        self,
        scale: float = 20.0,
        *,
        learn_scale: bool = False,
        implementation: str = "auto",
        decoupled: bool = False,
    ) -> None:
        """See :class:`xmc.objectives.module.ObjectiveModule` and :func:`taylor_softmax`."""
        objective = partial(taylor_softmax, decoupled=decoupled)
        super().__init__(objective, scale, learn_scale=learn_scale, implementation=implementation)
