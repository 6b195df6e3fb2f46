"""What every spherical loss does alike: moments of the scores from the labels', then a value from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from xmc.errors import ConfigError
from xmc.objectives.extra_negatives import ExtraNegatives
from xmc.objectives.reduction import Reduction, reduce_rows
from xmc.objectives.runner import read_positives
from xmc.objectives.spherical.row_moments import RowMoments, dense_negative_moments, negative_moments
from xmc.scoring import IMPLEMENTATIONS, LabelShard, Positives
from xmc.scoring.moments import LabelMoments
from xmc.scoring.positives import PositivesLike
from xmc.scoring.reduction import check_shapes

__all__ = ["PairValue", "SphericalValue", "mean_over_positives", "run_spherical"]

SphericalValue = Callable[[Tensor, RowMoments, Positives], Tensor]
"""Row losses [B] from the positives' scores [P] and the moments [B] of the negatives, float64."""

PairValue = Callable[[Tensor, RowMoments], Tensor]
"""Pair losses [P] from the positives' scores [P] and the moments [P] of what each competes with, float64."""


def mean_over_positives(value: PairValue, decoupled: bool) -> SphericalValue:
    """Row losses that are the mean of pair losses, each against all labels or, decoupled, without the others.

    Decoupled: a pair's moments are those of its row's negatives and itself. A row without positives has loss
    0, and so has a decoupled pair without negatives.
    """

    def rows(scores: Tensor, negatives: RowMoments, positives: Positives) -> Tensor:
        if not decoupled:
            moments = negatives.with_all(scores, positives).per_pair(positives)
            return positives.row_mean(value(scores, moments))
        present = (negatives.count > 0)[positives.rows]
        losses = value(scores, negatives.with_own(scores, positives))
        return positives.row_mean(torch.where(present, losses, 0.0))

    return rows


def run_spherical(
    value: SphericalValue,
    queries: Tensor,
    labels: Tensor,
    positives: PositivesLike,
    *,
    scale: float | Tensor,
    offsets: Tensor | None,
    log_weights: Tensor | None,
    reduction: Reduction,
    shard: LabelShard | None,
    implementation: str,
    extra: ExtraNegatives | None = None,
) -> Tensor:
    """The spherical loss that ``value`` makes; see :func:`xmc.objectives.spherical_z_loss`.

    Raises:
        ConfigError: When shapes, ids or options do not fit.
    """
    if implementation not in IMPLEMENTATIONS:
        raise ConfigError(
            f"expected implementation to be one of {', '.join(IMPLEMENTATIONS)}, got {implementation!r}"
        )
    shard = shard or LabelShard.whole(len(labels))
    pairs = read_positives(positives, queries, labels, shard)
    check_shapes(queries, labels, pairs, offsets, log_weights, shard)
    outside = _outside(extra, offsets, implementation)
    scale = torch.as_tensor(scale, dtype=torch.float64, device=queries.device)
    given: dict[str, Any] = {"scale": scale, "offsets": offsets, "log_weights": log_weights}
    if implementation == "dense" and shard.world.size > 1:
        raise ConfigError("the dense implementation holds all labels on one rank; use 'auto' for shards")
    with torch.autocast(queries.device.type, enabled=False):
        if implementation == "dense":
            scores, negatives = dense_negative_moments(queries, labels, pairs, **given)
        else:
            scores, negatives = negative_moments(
                queries, labels, pairs, shard=shard, outside=outside, **given
            )
        rows = reduce_rows(value(scores, negatives, pairs), reduction)
    return rows.to(torch.promote_types(queries.dtype, torch.float32))


def _outside(
    extra: ExtraNegatives | None, offsets: Tensor | None, implementation: str
) -> LabelMoments | None:
    """The moments of labels outside the batch's pool, or None.

    Raises:
        ConfigError: When there is something beside the labels that moments cannot say.
    """
    if extra is None:
        return None
    if extra.certain is not None or extra.frozen is not None:
        raise ConfigError(
            "expected of the extra negatives of a spherical loss the moments alone, got certain pairs or "
            "frozen labels: it knows labels by their moments"
        )
    if extra.moments is not None and (offsets is not None or implementation == "dense"):
        raise ConfigError(
            "expected neither offsets nor the dense implementation with moments of labels outside the pool, "
            "which hold no offsets and no scores"
        )
    return extra.moments
