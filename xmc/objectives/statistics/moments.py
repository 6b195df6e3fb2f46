"""The statistic of every spherical loss: the moments of a row's negatives, with no walk over the labels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from xmc.errors import ConfigError
from xmc.objectives.objective import PositiveScores, RowValue
from xmc.objectives.statistics.row_moments import RowMoments, dense_negative_moments, negative_moments
from xmc.scoring import ScoreInputs
from xmc.scoring.inputs import check_inputs
from xmc.scoring.moments import LabelMoments
from xmc.scoring.reduction import check_implementation
from xmc.scoring.row_parts import in_pair_order, in_row_order, row_parts

__all__ = ["PairValue", "SphericalValue", "mean_over_positives", "moments_of_negatives"]

SphericalValue = RowValue[RowMoments]
"""Row losses [B] from the positives' scores [P] and the moments [B] of the negatives, float64."""

PairValue = Callable[[Tensor, RowMoments], Tensor]
"""Pair losses [P] from the positives' scores [P] and the moments [P] of what each competes with, float64."""


def mean_over_positives(value: PairValue, decoupled: bool) -> SphericalValue:
    """Row losses that are the mean of pair losses, each against all labels or, decoupled, without the others.

    Decoupled: a pair's moments are those of its row's negatives and itself. A row without positives has loss
    0, and so has a decoupled pair without negatives.
    """

    def rows(own: PositiveScores, negatives: RowMoments) -> Tensor:
        positives = own.positives
        if not decoupled:
            # All labels of the row with each positive once, also where the labels are a weighted sample.
            moments = negatives.with_all(own.scores, positives).per_pair(positives)
            return positives.row_mean(value(own.scores, moments))
        # A positive alone has no spread, and nothing to compete with.
        present = (negatives.count > 0)[own.rows]
        losses = value(own.scores, negatives.with_own(own.scores, positives))
        return positives.row_mean(torch.where(present, losses, 0.0))

    return rows


def moments_of_negatives(inputs: ScoreInputs) -> tuple[PositiveScores, RowMoments]:
    """The positives' scores and the moments of each row's negatives, float64.

    See :class:`xmc.objectives.objective.Statistic`, which this is.

    Raises:
        ConfigError: When shapes, ids or options do not fit.
    """
    if inputs.apart is None:
        scores, negatives = _moments(inputs)
    else:
        parts = [_moments(part) for part in row_parts(inputs, inputs.apart)]
        scores = in_pair_order(inputs.apart, inputs.pairs, [scores for scores, _ in parts])
        columns = zip(*((m.count, m.mean, m.scatter) for _, m in parts), strict=True)
        negatives = RowMoments(*(in_row_order(inputs.apart, list(column)) for column in columns))
    return PositiveScores(scores, inputs.pairs, inputs), negatives


def _moments(inputs: ScoreInputs) -> tuple[Tensor, RowMoments]:
    check_implementation(inputs)
    check_inputs(inputs)
    outside = _outside(inputs)
    if inputs.implementation == "dense":
        return dense_negative_moments(inputs)
    return negative_moments(inputs, outside)


def _outside(inputs: ScoreInputs) -> LabelMoments | None:
    """The moments of labels outside the batch's pool, or None.

    Raises:
        ConfigError: When there is something beside the labels that moments cannot say.
    """
    extra = inputs.extra
    if extra is None:
        return None
    if extra.certain is not None or extra.frozen is not None:
        raise ConfigError(
            "expected of the extra negatives of a spherical loss the moments alone, got certain pairs or "
            "frozen labels: it knows labels by their moments"
        )
    if extra.moments is not None and (inputs.offsets is not None or inputs.implementation == "dense"):
        raise ConfigError(
            "expected neither offsets nor the dense implementation with moments of labels outside the pool, "
            "which hold no offsets and no scores"
        )
    return extra.moments
