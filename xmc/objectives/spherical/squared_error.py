"""Squared error of every score against 1 for positives and 0 for the other labels.

A member of the spherical family: the negatives enter by the sum of their squares alone.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from xmc.objectives.extra_negatives import ExtraNegatives
from xmc.objectives.module import ObjectiveModule
from xmc.objectives.reduction import Reduction
from xmc.objectives.spherical.row_moments import RowMoments
from xmc.objectives.spherical.runner import SphericalValue, run_spherical
from xmc.scoring import LabelShard, Positives
from xmc.scoring.positives import PositivesLike
from xmc.scoring.reduction import DEFAULT_MEMORY_BYTES

__all__ = ["MeanSquaredError", "mean_squared_error", "squared_error_rows", "squared_error_value"]


def squared_error_rows(
    scores: Tensor, negatives: RowMoments, positives: Positives, decoupled: bool = False
) -> Tensor:
    """The loss of each row, [B] float64, from its positives' scores [P] and its negatives' moments [B].

    Plain: ``sum_{c in P_i} (s_ic - 1)^2 + sum_{j not in P_i} s_ij^2``, where relevance weights weigh the
    first sum and a row without positives counts with its negatives. Decoupled: the mean over positives of
    ``(s_ic - 1)^2`` plus the second sum, 0 for a row without positives.
    """
    errors = (scores - 1).square()
    if not decoupled:
        return positives.row_sum(errors) + negatives.squares
    return positives.row_mean(errors + negatives.squares[positives.rows])


def squared_error_value(*, decoupled: bool = False) -> SphericalValue:
    """The row losses of :func:`mean_squared_error` from scores and moments."""
    return partial(squared_error_rows, decoupled=decoupled)


def mean_squared_error(
    queries: Tensor,
    labels: Tensor,
    positives: PositivesLike,
    *,
    scale: float | Tensor = 1.0,
    offsets: Tensor | None = None,
    log_weights: Tensor | None = None,
    reduction: Reduction = "mean",
    shard: LabelShard | None = None,
    implementation: str = "auto",
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    extra: ExtraNegatives | None = None,
    decoupled: bool = False,
) -> Tensor:
    """Squared error of the scores of queries [B, D] against labels [L, D], summed over labels.

    ``1/B sum_i sum_j (s_ij - y_ij)^2`` with y the multi-hot positives. Cost: l D^2 for the labels and B D^2
    for the queries, with no walk over labels. Arguments as for :func:`xmc.objectives.decoupled_softmax`
    (no ``memory_bytes`` needed; "tiled" and "triton" are "auto"; of
    ``extra`` the moments alone), and:

    Args:
        scale: 1 by default, as scores are to be 0 or 1.
        decoupled: Hold each positive against the negatives alone, and take the mean over positives.

    Returns:
        A scalar, or [B] for ``reduction="none"``; equal on every rank.

    Raises:
        ConfigError: When shapes, ids or options do not fit.
    """
    return run_spherical(
        squared_error_value(decoupled=decoupled),
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


class MeanSquaredError(ObjectiveModule):
    """:func:`mean_squared_error` as a loss module; its scale starts at 1, as scores are to be 0 or 1."""

    def __init__(
        self,
        scale: float = 1.0,
        *,
        learn_scale: bool = False,
        implementation: str = "auto",
        decoupled: bool = False,
    ) -> None:
        """See :class:`xmc.objectives.module.ObjectiveModule` and :func:`mean_squared_error`."""
        objective = partial(mean_squared_error, decoupled=decoupled)
        super().__init__(objective, scale, learn_scale=learn_scale, implementation=implementation)
