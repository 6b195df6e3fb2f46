"""The spherical Z-loss on standardised scores; not the log-partition penalty that others call z-loss.

The score of a positive, in standard deviations above the mean of its row, is pushed beyond b. Only two
moments of the other scores matter, so no label is walked over. Source: de Brebisson and Vincent, "The Z-loss:
a shift and scale invariant classification loss belonging to the Spherical Family", 2016, arXiv 1604.08859.
"""

from __future__ import annotations

from functools import partial

import torch.nn.functional as F
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

__all__ = ["SphericalZLoss", "objective", "spherical_z_loss", "z_loss_per_pair"]

SMALLEST_VARIANCE = 1e-12


def z_loss_per_pair(scores: Tensor, moments: RowMoments, a: float, b: float) -> Tensor:
    """``softplus(a (b - z)) / a`` with ``z = (score - mean) / deviation``: [P]."""
    # Clamped before the root: at a variance of 0 the root's derivative is infinite.
    deviation = moments.variance.clamp_min(SMALLEST_VARIANCE).sqrt()
    # Over a: for large a it tends to max(b - z, 0), and its slope is at most 1 for any a.
    return F.softplus(a * (b - (scores - moments.mean) / deviation)) / a


def objective(a: float = 1.0, b: float = 5.0, decoupled: bool = False) -> Objective[RowMoments]:
    """Spherical Z-loss; see :func:`spherical_z_loss`.

    Raises:
        ConfigError: When ``a`` is not above 0.
    """
    if not a > 0:
        raise ConfigError(f"expected a above 0, got {a}")
    value = mean_over_positives(partial(z_loss_per_pair, a=a, b=b), decoupled)
    return Objective(facts_of("spherical_z_loss"), moments_of_negatives, value)


@with_scoring_options
def spherical_z_loss(
    queries: Tensor,
    labels: Tensor,
    positives: PositivesLike,
    *,
    scale: float | Tensor = 20.0,
    reduction: Reduction = "mean",
    a: float = 1.0,
    b: float = 5.0,
    decoupled: bool = False,
    **scoring: Unpack[ScoringOptions],
) -> Tensor:
    """Spherical Z-loss, not the log-partition penalty others call z-loss, of queries against labels [L, D].

    ``1/B sum_i 1/|P_i| sum_{c in P_i} softplus(a (b - z_ic)) / a``, ``z_ic = (s_ic - mean_i) / deviation_i``
    with the mean and standard deviation of row i over the labels. Shifting a row's scores or multiplying them
    by a positive number changes nothing, so ``scale`` matters only where labels have offsets. Cost: l D^2 for
    the labels and B D^2 for the queries, with no walk over labels. Arguments as for
    :func:`xmc.objectives.decoupled_softmax` (no ``memory_bytes`` needed; "tiled" and "triton" are "auto"; of
    ``extra`` the moments alone), and:

    Args:
        a: Sharpness, above 0.
        b: How many standard deviations above the mean a positive is to be. The best of L negatives is at
            about 3.5 for L = 4,000 and 4.8 for 1.3 million; the most that can be reached is
            ``sqrt(L / |P_i|)``.
        decoupled: Leave a row's other positives out of the mean and deviation a positive is held against.

    Returns:
        A scalar, or [B] for ``reduction="none"``; equal on every rank.

    Raises:
        ConfigError: When shapes, ids or options do not fit.
    """
    inputs = ScoreInputs(queries, labels, positives, scale, **scoring)
    return objective(a, b, decoupled)(inputs, reduction)


SphericalZLoss = loss_module(objective)
