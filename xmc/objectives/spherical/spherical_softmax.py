"""Log-spherical softmax: a softmax with the square of the score in place of the exponential.

It is even in the scores, so ranking is by the square (or by the score where all are positive). Source: de
Brebisson and Vincent, "An exploration of softmax alternatives belonging to the spherical loss family", ICLR
2016.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from xmc.errors import ConfigError
from xmc.objectives.extra_negatives import ExtraNegatives
from xmc.objectives.module import ObjectiveModule
from xmc.objectives.reduction import Reduction
from xmc.objectives.spherical.row_moments import RowMoments
from xmc.objectives.spherical.runner import SphericalValue, mean_over_positives, run_spherical
from xmc.scoring import LabelShard
from xmc.scoring.positives import PositivesLike
from xmc.scoring.reduction import DEFAULT_MEMORY_BYTES

__all__ = ["SphericalSoftmax", "spherical_softmax", "spherical_softmax_per_pair", "spherical_softmax_value"]


def spherical_softmax_per_pair(scores: Tensor, moments: RowMoments, eps: float) -> Tensor:
    """Minus the log of ``(score^2 + eps) / sum_j (s_j^2 + eps)``, the sum from the moments: [P]."""
    return torch.log(moments.squares + moments.count * eps) - torch.log(scores.square() + eps)


def spherical_softmax_value(*, eps: float = 1.0, decoupled: bool = False) -> SphericalValue:
    """The row losses of :func:`spherical_softmax` from scores and moments.

    Raises:
        ConfigError: When ``eps`` is not above 0.
    """
    if not eps > 0:
        raise ConfigError(f"expected eps above 0, got {eps}")
    return mean_over_positives(partial(spherical_softmax_per_pair, eps=eps), decoupled)


def spherical_softmax(
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
    eps: float = 1.0,
    decoupled: bool = False,
) -> Tensor:
    """Log-spherical softmax of queries [B, D] against labels [L, D].

    ``-1/B sum_i 1/|P_i| sum_{c in P_i} log((s_ic^2 + eps) / sum_j (s_ij^2 + eps))``. Cost: l D^2 for the
    labels and B D^2 for the queries, with no walk over labels. Arguments as for
    :func:`xmc.objectives.decoupled_softmax` (no ``memory_bytes`` needed; "tiled" and "triton" are "auto"; of
    ``extra`` the moments alone),
    and:

    Args:
        eps: Above 0, in units of a squared score; it bounds the gradient where a positive's score is near 0,
            and is to be tuned.
        decoupled: Leave a row's other positives out of the sum that a positive is held against.

    Returns:
        A scalar, or [B] for ``reduction="none"``; equal on every rank.

    Raises:
        ConfigError: When shapes, ids or options do not fit.
    """
    return run_spherical(
        spherical_softmax_value(eps=eps, decoupled=decoupled),
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


class SphericalSoftmax(ObjectiveModule):
    """:func:`spherical_softmax` as a loss module."""

    def __init__(
        self,
        scale: float = 20.0,
        *,
        learn_scale: bool = False,
        implementation: str = "auto",
        eps: float = 1.0,
        decoupled: bool = False,
    ) -> None:
        """See :class:`xmc.objectives.module.ObjectiveModule` and :func:`spherical_softmax`."""
        objective = partial(spherical_softmax, eps=eps, decoupled=decoupled)
        super().__init__(objective, scale, learn_scale=learn_scale, implementation=implementation)
