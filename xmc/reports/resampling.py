"""How sure a metric is: bootstrap intervals and a paired randomisation test over queries.

Every metric here is a ratio of sums over the N queries, ``sum(gained) / sum(whole)``. A mean has ``whole`` 1;
PSP has the best weight a query could gain; a group's recall has 1 for the queries that have positives in the
group. The queries are what is random: what another training seed would change is not in the intervals. The
seed here is a report's own, straight into NumPy's generator: it shares nothing with the streams of training
(`xmc.random_streams`).

Sources: Efron and Tibshirani, "An introduction to the bootstrap" (1993), chapter 13 (percentile intervals);
Smucker, Allan, Carterette, "A comparison of statistical significance tests for information retrieval
evaluation" (CIKM 2007), section 3.1 (the randomisation test).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmc.errors import ConfigError

__all__ = ["Intervals", "bootstrap", "paired_bootstrap", "sign_flip_p_values"]

Floats = NDArray[np.float64]

_RESAMPLES = 1000
_FLIPS = 10_000
_CHUNK_NUMBERS = 1 << 22
# Sums of equal differences in another order differ by rounding: they count as equal. In doubt a toss counts
# as large, which can only make p larger.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Intervals:
    """M ratios and their intervals, each float64 [M]; NaN where the whole is 0."""

    value: Floats
    low: Floats
    high: Floats


def bootstrap(
    gained: Floats, whole: Floats, *, resamples: int = _RESAMPLES, level: float = 0.95, seed: int = 0
) -> Intervals:
    """Ratios of sums over queries, with percentile bootstrap intervals.

    Both sums of a ratio are taken over the same resampled queries. A resample in which a metric has no whole
    (a group none of whose queries was drawn) is left out of that metric's interval.

    Args:
        gained: [N, M], one row per query.
        whole: [N, M].
        resamples: Draws of N queries with replacement.
        level: Coverage of an interval.
        seed: Of the draws; equal N and seed give equal draws, whatever the metrics.

    Raises:
        ConfigError: When the shapes differ, there are no queries, or a number is out of range.
    """
    _check(gained, whole, resamples, level)
    drawn = _resampled_sums(np.hstack([gained, whole]), resamples, seed)
    num_metrics = gained.shape[1]
    low, high = _percentiles(_ratio(drawn[:, :num_metrics], drawn[:, num_metrics:]), level)
    return Intervals(_ratio(gained.sum(axis=0), whole.sum(axis=0)), low, high)


def paired_bootstrap(
    first: Floats,
    second: Floats,
    whole: Floats,
    *,
    resamples: int = _RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Intervals:
    """Second less first, with percentile bootstrap intervals over the same resampled queries.

    Args:
        first: [N, M], what the first system gained on each query.
        second: [N, M].
        whole: [N, M], the same for both: it depends on the truth alone.
        resamples: As in :func:`bootstrap`.
        level: As in :func:`bootstrap`.
        seed: As in :func:`bootstrap`.

    Raises:
        ConfigError: As :func:`bootstrap`.
    """
    _check(first, second, resamples, level)
    return bootstrap(second - first, whole, resamples=resamples, level=level, seed=seed)


def sign_flip_p_values(difference: Floats, *, flips: int = _FLIPS, seed: int = 0) -> Floats:
    """Two-sided p-values [M] of the paired randomisation (sign-flip) test.

    Under the hypothesis that the two systems are exchangeable on each query, the sign of each query's
    difference is a coin toss. p is the share of coin tosses whose absolute sum is at least the observed one,
    the observed one counted in: (1 + as large) / (1 + flips), so never 0.

    Args:
        difference: [N, M], second less first on each query. For a ratio whose whole both systems share, the
            difference of what was gained: a swap of the systems on a query flips its sign.
        flips: Coin tosses of all signs; the smallest p is 1 / (1 + flips).
        seed: Of the tosses.

    Raises:
        ConfigError: When there is no query, or ``flips`` is below 1.
    """
    if difference.ndim != 2 or not len(difference) or flips < 1:
        raise ConfigError(
            "expected differences [N, M] of some queries and 1 or more flips, got "
            f"{difference.shape} and {flips}"
        )
    observed = np.abs(difference.sum(axis=0)) - _ROUNDING * np.abs(difference).sum(axis=0)
    # A query without a difference has no sign to flip: its tosses would cost time and change nothing.
    changed = difference[(difference != 0).any(axis=1)]
    as_large = np.zeros(difference.shape[1])
    generator, total = np.random.default_rng(seed), changed.sum(axis=0)
    chunk = max(1, _CHUNK_NUMBERS // max(1, len(changed)))
    for start in range(0, flips, chunk):
        tosses = _bits(generator, min(chunk, flips - start), len(changed))
        # Turning the sign of the tossed rows takes twice their sum off the total. One product for all.
        as_large += (np.abs(total - 2.0 * (tosses @ changed)) >= observed).sum(axis=0)
    return np.asarray((1.0 + as_large) / (1.0 + flips))


def _resampled_sums(columns: Floats, resamples: int, seed: int) -> Floats:
    """Sums [R, C] of the columns [N, C] over N rows drawn with replacement, R times."""
    num_rows = len(columns)
    generator = np.random.default_rng(seed)
    sums = np.empty((resamples, columns.shape[1]))
    chunk = max(1, _CHUNK_NUMBERS // num_rows)
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        # A sum over drawn rows is their counts times the columns: one product for all C. Adding num_rows
        # times its number to a resample gives it cells of its own, so that one bincount counts them all.
        drawn = generator.integers(0, num_rows, (size, num_rows))
        drawn += np.arange(size)[:, None] * num_rows
        counts = np.bincount(drawn.ravel(), minlength=size * num_rows).reshape(size, num_rows)
        sums[start : start + size] = counts.astype(np.float64) @ columns
    return sums


def _bits(generator: np.random.Generator, rows: int, columns: int) -> Floats:
    """Fair coin tosses, 0 or 1, [rows, columns]: one random bit each, where a float would take 64."""
    packed = np.frombuffer(generator.bytes(rows * ((columns + 7) // 8)), dtype=np.uint8).reshape(rows, -1)
    return np.unpackbits(packed, axis=1, count=columns).astype(np.float64)


def _ratio(gained: Floats, whole: Floats) -> Floats:
    """Gained / whole, NaN where the whole is 0."""
    ratio = np.full(np.shape(gained), np.nan)
    np.divide(gained, whole, out=ratio, where=np.asarray(whole) != 0)
    return ratio


def _percentiles(values: Floats, level: float) -> tuple[Floats, Floats]:
    """The bounds [M] between which ``level`` of the defined ones of the resampled ratios [R, M] lie."""
    low, high = np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    known = ~np.isnan(values).all(axis=0)
    if known.any():
        edges = [(1 - level) / 2, (1 + level) / 2]
        low[known], high[known] = np.nanquantile(values[:, known], edges, axis=0)
    return low, high


def _check(gained: Floats, whole: Floats, resamples: int, level: float) -> None:
    if gained.ndim != 2 or gained.shape != whole.shape or not len(gained):
        raise ConfigError(
            f"expected two arrays [N, M] of the same, non-empty shape, got {gained.shape} and {whole.shape}"
        )
    if resamples < 1 or not 0 < level < 1:
        raise ConfigError(
            f"expected 1 or more resamples and a level between 0 and 1, got {resamples} and {level}"
        )
