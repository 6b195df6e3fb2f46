"""The probability that a step's pool includes a label, from every source together."""

from __future__ import annotations

import math

import numpy as np
import scipy.sparse as sp
from scipy.special import gammaln

from xmc.distributed import shard_bounds
from xmc.errors import ConfigError

__all__ = [
    "in_batch_inclusion",
    "stratified_inclusion",
    "tempered_inclusion",
    "thinned_in_batch_inclusion",
    "union_inclusion",
]

NEGLIGIBLE = -45.0  # of a logarithm: less than 1e-19


def in_batch_inclusion(counts: np.ndarray, num_units: int, units_per_batch: int) -> np.ndarray:
    """Probability that another row of a row's batch brings a label, which the row itself does not.

    A batch is ``units_per_batch`` of ``num_units`` units drawn without replacement. A unit is a training row,
    or a cluster of rows that always share a batch. A label that a row's own unit does not bring is brought by
    ``counts[l]`` of the other ``num_units - 1``. Hypergeometric:
    ``1 - C(num_units - 1 - n, units_per_batch - 1) / C(num_units - 1, units_per_batch - 1)``.

    Args:
        counts: [L], the number of units that bring each label.
        num_units: Units that batches are drawn from.
        units_per_batch: Units of a step, over all ranks.

    Returns:
        [L] float64 in [0, 1].
    """
    counts = np.asarray(counts, dtype=np.float64)
    # Given that the row is in the batch, the rest of it is a uniform draw of the other units, of which
    # counts[l] bring the label: the chance to miss it is C(others - n, drawn) / C(others, drawn).
    others, drawn = num_units - 1, units_per_batch - 1
    # More units without the label than are drawn, or the label is in every draw.
    free = others - counts - drawn
    certain = free < 0
    free = np.where(certain, 0, free)
    # Paired so that a label of no unit gives exactly 0, whatever the size of the terms.
    log_missing = (gammaln(others - counts + 1) - gammaln(others + 1)) + (
        gammaln(others - drawn + 1) - gammaln(free + 1)
    )
    # expm1, as a rare label's chance is small beside 1.
    return np.where(certain, 1.0, -np.expm1(np.minimum(log_missing, 0.0)))


def thinned_in_batch_inclusion(
    counts: sp.csr_matrix, chances: np.ndarray, num_units: int, units_per_batch: int
) -> np.ndarray:
    """:func:`in_batch_inclusion` where a unit of the batch brings a label by a chance of its own.

    A batch of ``d`` of ``n`` other units, of which i brings a label by the chance ``p_i``, misses it with the
    mean of ``prod (1 - p_i)`` over the batch: the coefficient of ``z^d`` in ``prod_i (1 + (1 - p_i) z)`` over
    all n, divided by ``C(n, d)``. The coefficient is Cauchy's integral on a circle, whose trapezoidal rule
    with J points adds the coefficients of ``z^(d +- J)``. On the radius ``d / (n - d)`` these are chances of
    a binomial batch to be J larger or smaller: far beyond rounding with J of nine standard deviations.

    Args:
        counts: CSR [L, U], how many units bring each label by each of the chances.
        chances: [U] float64 in (0, 1].
        num_units: Units that batches are drawn from.
        units_per_batch: Units of a step, over all ranks.

    Returns:
        [L] float64 in [0, 1].
    """
    others, drawn = num_units - 1, units_per_batch - 1
    if drawn == 0:
        return np.zeros(counts.shape[0])
    if drawn >= others:
        # Every unit is in the batch. A chance of 1 has the logarithm -inf, which is meant.
        with np.errstate(divide="ignore"):
            return np.asarray(-np.expm1(counts @ np.log1p(-chances)))
    share = drawn / others
    spread, radius = math.sqrt(drawn * (1 - share)), share / (1 - share)
    # J, halved. By Bernstein's inequality a binomial batch is that far from its mean with less than 1e-16.
    pairs = math.ceil((20 + 9 * spread) / 2)
    angles = (np.arange(pairs) + 0.5) * (math.pi / pairs)
    points = radius * np.exp(1j * angles)
    # (1 + z)^n / z^d, whose coefficient is C(n, d), relative to its largest value on the circle.
    whole = others * np.log1p(points) - drawn * 1j * angles - others * math.log1p(radius)
    # No label's polynomial is above its own largest value times |1 + z|^(n - m) of the units without it.
    fewest = max(others - np.asarray(counts.sum(1)).max(initial=0.0), 0.0)
    present = fewest * (np.log(np.abs(1 + points)) - math.log1p(radius)) > NEGLIGIBLE
    missing, total = np.zeros(counts.shape[0]), 0.0
    for point, log_whole in zip(points[present], whole[present], strict=True):
        # (1 + (1 - p) z) / (1 + z) = 1 - p z / (1 + z). The lower half of the circle is the conjugate.
        factors = counts @ np.log1p(-chances * (point / (1 + point)))
        missing += np.exp(log_whole + factors).real
        total += np.exp(log_whole).real
    # Divided by the same sum for a label of no unit, which then is missed for certain, without C(n, d).
    return np.clip(1 - missing / total, 0.0, 1.0)


def stratified_inclusion(num_labels: int, count: int, strata: int) -> np.ndarray:
    """Inclusion probability of a uniform draw of ``count`` labels that takes its share from each shard.

    Shard r of the labels has ``L_r`` labels, of which ``m_r`` are drawn without replacement: ``m_r / L_r``,
    with both from :func:`xmc.distributed.shard_bounds`. Shards need not be even for it to be exact.

    Returns:
        [L] float64 in (0, 1].

    Raises:
        ConfigError: When a shard has no label to draw, or none drawn.
    """
    if not 1 <= strata <= count <= num_labels:
        raise ConfigError(
            f"negatives: expected 1 <= strata <= uniform <= the {num_labels} labels, got strata {strata} and "
            f"uniform {count}; use mode 'all' to score every label"
        )
    inclusion = np.empty(num_labels)
    for stratum in range(strata):
        (start, stop), drawn = shard_bounds(num_labels, stratum, strata), shard_bounds(count, stratum, strata)
        # A uniform draw of m from l without replacement holds each with the chance m / l.
        inclusion[start:stop] = (drawn[1] - drawn[0]) / (stop - start)
    return inclusion


def tempered_inclusion(label_counts: np.ndarray, expected: float, alpha: float) -> np.ndarray:
    """Inclusion probabilities ``min(1, c * label_counts^alpha)`` that add up to ``expected``.

    Labels so frequent that their share would be above 1 are certain, and the rest share what is left.

    Args:
        label_counts: [L], training rows of each label.
        expected: Labels a draw holds on average.
        alpha: The power; with 0 every label has the same chance, with more those without rows have none.

    Returns:
        [L] float64 in [0, 1].

    Raises:
        ConfigError: When fewer labels have a chance than are to be drawn.
    """
    # 0 ** 0 is 1: with alpha 0 labels without training rows have a chance as well.
    weights = np.asarray(label_counts, dtype=np.float64) ** alpha
    possible = int((weights > 0).sum())
    if expected > possible:
        raise ConfigError(
            f"negatives.tempered.count: expected at most the {possible} labels with training rows, got "
            f"{expected}"
        )
    certain = np.zeros(len(weights), dtype=bool)
    while True:
        # In proportion to size, with those above 1 made certain and the rest scaled anew (Sarndal, Swensson
        # and Wretman 1992, section 3.6). A larger factor can push others above 1, hence the loop; each round
        # makes at least one certain, so it ends.
        left = expected - certain.sum()
        total = weights[~certain].sum()
        inclusion = np.where(certain, 1.0, weights * (left / total if total > 0 else 0.0))
        above = (inclusion >= 1) & ~certain
        if not above.any():
            return inclusion
        certain |= above


def union_inclusion(*probabilities: np.ndarray | float) -> np.ndarray:
    """Inclusion probability of a union of independent sources: ``1 - prod(1 - p)``, in float64."""
    missing = np.asarray(1.0)
    for probability in probabilities:
        # A label is missed when every source misses it, and sources are independent.
        missing = missing * (1.0 - np.asarray(probability, dtype=np.float64))
    return 1.0 - missing
