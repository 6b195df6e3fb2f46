"""Squared error of every score against 1 for positives and 0 for the other labels.

A member of the spherical family: the negatives enter by the sum of their squares alone.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor
from typing_extensions import Unpack

from xmc.objectives.catalogue import facts_of
from xmc.objectives.objective import Objective, PositiveScores, Reduction
from xmc.objectives.public import loss_module, with_scoring_options
from xmc.objectives.statistics.moments import moments_of_negatives
from xmc.objectives.statistics.row_moments import RowMoments
from xmc.scoring import ScoreInputs, ScoringOptions
from xmc.scoring.positives import PositivesLike

__all__ = ["MeanSquaredError", "mean_squared_error", "objective", "squared_error_rows"]


def squared_error_rows(own: PositiveScores, negatives: RowMoments, decoupled: bool = False) -> Tensor:
    """The loss of each row, [B] float64, from its positives' scores [P] and its negatives' moments [B].

    Plain: ``sum_{c in P_i} (s_ic - 1)^2 + sum_{j not in P_i} s_ij^2``, where relevance weights weigh the
    first sum and a row without positives counts with its negatives. Decoupled: the mean over positives of
    ``(s_ic - 1)^2`` plus the second sum, 0 for a row without positives.
    """
    # Of the negatives the sum of squares alone matters: scatter + n mean^2, from the moments.
    errors = (own.scores - 1).square()
    if not decoupled:
        return own.positives.row_sum(errors) + negatives.squares
    return own.positives.row_mean(errors + negatives.squares[own.rows])


def objective(decoupled: bool = False) -> Objective[RowMoments]:
    """Squared error; see :func:`mean_squared_error`."""
    value = partial(squared_error_rows, decoupled=decoupled)
    return Objective(facts_of("mean_squared_error"), moments_of_negatives, value)


@with_scoring_options
def mean_squared_error(
    queries: Tensor,
    labels: Tensor,
    positives: PositivesLike,
    *,
    scale: float | Tensor = 1.0,
    reduction: Reduction = "mean",
    decoupled: bool = False,
    **scoring: Unpack[ScoringOptions],
) -> Tensor:
    """Squared error of the scores of queries [B, D] against labels [L, D], summed over labels.

    ``1/B sum_i sum_j (s_ij - y_ij)^2`` with y the multi-hot positives. Cost: l D^2 for the labels and B D^2
    for the queries, with no walk over labels. Arguments as for :func:`xmc.objectives.decoupled_softmax` (no
    ``memory_bytes`` needed; "tiled" and "triton" are "auto"; of ``extra`` the moments alone), and:

    Args:
        scale: 1 by default, as scores are to be 0 or 1.
        decoupled: Hold each positive against the negatives alone, and take the mean over positives.

    Returns:
        A scalar, or [B] for ``reduction="none"``; equal on every rank.

    Raises:
        ConfigError: When shapes, ids or options do not fit.
    """
    inputs = ScoreInputs(queries, labels, positives, scale, **scoring)
    return objective(decoupled)(inputs, reduction)


MeanSquaredError = loss_module(objective)
