"""One ranking out of several systems' lists of labels: reciprocal ranks, and weighted sums of scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmc.errors import ConfigError, DataError

__all__ = [
    "NORMALISATIONS",
    "RANK_CONSTANT",
    "Lists",
    "Normalisation",
    "add_lists",
    "min_max",
    "normalised",
    "reciprocal_rank_fusion",
    "reciprocal_ranks",
    "softmax_lists",
    "weighted_fusion",
]

Lists = tuple[NDArray[np.integer], NDArray[np.floating]]
"""Label ids [N, K], best first, -1 pads at the end of a row, and their scores [N, K]."""

Normalisation = Literal["min_max", "share", "none"]
NORMALISATIONS: tuple[Normalisation, ...] = ("min_max", "share", "none")

RANK_CONSTANT = 60.0
"""Of reciprocal ranks, as in the paper."""


def reciprocal_rank_fusion(
    rankings: Sequence[NDArray[np.integer]],
    k: int,
    *,
    weights: Sequence[float] | None = None,
    constant: float = RANK_CONSTANT,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rank labels by the sum over systems of ``weight / (constant + rank)``, the first rank being 1.

    Source: Cormack, Clarke, Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank
    learning methods", SIGIR 2009, which has no weights.

    Args:
        rankings: Label ids [N, K] of each system, best first, -1 pads; K may differ.
        k: Labels to keep.
        weights: One for each system, 1 by default; a system of weight 0 adds nothing, not even its labels.
        constant: What ranks are counted from; more gives the first ranks less.

    Returns:
        Label ids and sums, both [N, k]: best first, ties by label id ascending, -1 and -inf at the end.

    Raises:
        ConfigError: For weights, k or a constant that cannot be, or systems of different numbers of rows.
    """
    if not constant > -1:
        raise ConfigError(f"expected a rank constant above -1, got {constant}")
    shares = _checked_weights([1.0] * len(rankings) if weights is None else weights, len(rankings))
    used = [(ids, share) for ids, share in zip(rankings, shares, strict=True) if share]
    return add_lists(
        [(ids, share * reciprocal_ranks(ids, constant)) for ids, share in used], k, len(rankings[0])
    )


def weighted_fusion(
    systems: Sequence[Lists],
    weights: Sequence[float],
    k: int,
    *,
    normalisation: Normalisation = "min_max",
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rank labels by the weighted sum of each system's normalised scores; 0 where a system has not the label.

    Source: Fox and Shaw, "Combination of multiple searches", TREC-2, 1994 (CombSUM), with weights.

    Args:
        systems: Lists of each; K may differ.
        weights: One for each system; a system of weight 0 adds nothing, not even its labels.
        k: Labels to keep.
        normalisation: "min_max" moves each list to 0 to 1; "share" divides scores by their list's sum, which
            keeps how sure a system is, and wants none below 0 (see `softmax_lists`); "none" is for scores on
            one scale.

    Returns:
        As `reciprocal_rank_fusion`.

    Raises:
        ConfigError: For weights, k or a normalisation that cannot be, or systems of other numbers of rows.
        DataError: When a score is infinite, which no sum can weigh, or below 0 for "share".
    """
    shares = _checked_weights(weights, len(systems))
    used = [(ids, scores, share) for (ids, scores), share in zip(systems, shares, strict=True) if share]
    parts = [(ids, share * normalised(ids, scores, normalisation)) for ids, scores, share in used]
    return add_lists(parts, k, len(systems[0][0]))


def reciprocal_ranks(ids: NDArray[np.integer], constant: float = RANK_CONSTANT) -> NDArray[np.float64]:
    """``1 / (constant + rank)`` of each place of lists [N, K], 0 of pads."""
    values = 1.0 / (constant + 1.0 + np.arange(ids.shape[1]))
    return np.where(ids >= 0, values, 0.0)


def normalised(
    ids: NDArray[np.integer], scores: NDArray[np.floating], normalisation: Normalisation
) -> NDArray[np.float64]:
    """Scores [N, K] as they are added up: float64, 0 of pads.

    Raises:
        ConfigError: For an unknown normalisation.
        DataError: When a score is not finite, or below 0 for "share".
    """
    if normalisation not in NORMALISATIONS:
        raise ConfigError(
            f"expected a normalisation of {' or '.join(NORMALISATIONS)}, got {normalisation!r:.80}"
        )
    kept = ids >= 0
    values = np.where(kept, scores, 0.0).astype(np.float64)
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0, 0])
        raise DataError(
            f"row {row} of a ranking: expected finite scores to fuse, got an infinite one: fuse by "
            "reciprocal rank, which looks at no score"
        )
    if normalisation == "share":
        if (values < 0).any():
            raise DataError(
                f"row {int(np.argwhere(values < 0)[0, 0])} of a ranking: expected scores of at least 0 to "
                "take shares of, got one below: take another normalisation (min_max)"
            )
        whole = values.sum(axis=1, keepdims=True)
        return values / np.where(whole > 0, whole, 1.0)
    return min_max(ids, values) if normalisation == "min_max" else values


def softmax_lists(
    ids: NDArray[np.integer], scores: NDArray[np.floating], temperature: float = 1.0
) -> NDArray[np.float64]:
    """The softmax of ``scores / temperature`` over each list [N, K]; 0 of pads.

    Raises:
        ConfigError: When the temperature is not above 0.
    """
    if not 0 < temperature < np.inf:
        raise ConfigError(f"expected a temperature above 0, got {temperature}")
    kept = ids >= 0
    if not ids.shape[1]:
        return np.zeros(ids.shape)
    logits = np.where(kept, scores, -np.inf).astype(np.float64) / temperature
    peak = logits.max(axis=1, keepdims=True)
    weights = np.exp(logits - np.where(np.isfinite(peak), peak, 0.0))
    whole = weights.sum(axis=1, keepdims=True)
    return np.asarray(weights / np.where(whole > 0, whole, 1.0))


def min_max(ids: NDArray[np.integer], scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Each list's scores moved to 0 (its worst) to 1 (its best); 1 in a list of equal scores, 0 of pads."""
    kept = ids >= 0
    if not ids.shape[1]:
        return np.zeros(ids.shape)
    low = np.where(kept, scores, np.inf).min(axis=1, keepdims=True)
    high = np.where(kept, scores, -np.inf).max(axis=1, keepdims=True)
    spread = np.where(high > low, high - low, 1.0)
    values = np.where(high > low, (scores - np.where(kept.any(1, keepdims=True), low, 0.0)) / spread, 1.0)
    return np.where(kept, values, 0.0)


def add_lists(parts: Sequence[Lists], k: int, num_rows: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Sum what lists say of each label, and keep the k labels of the greatest sums.

    Args:
        parts: Label ids [N, K] and what each adds to its label's sum [N, K]; K may differ, pads add nothing.
        k: Labels to keep.
        num_rows: N.

    Returns:
        Label ids and sums, both [N, k]: best first, ties by label id ascending, -1 and -inf at the end.

    Raises:
        ConfigError: When k is below 1 or the parts differ in rows.
    """
    if k < 1:
        raise ConfigError(f"expected k to be at least 1, got {k}")
    if any(len(ids) != num_rows for ids, _ in parts):
        raise ConfigError(
            f"expected rankings of the same {num_rows} rows, got {', '.join(str(len(p[0])) for p in parts)}"
        )
    ids = np.concatenate([np.full((num_rows, k), -1), *(part[0] for part in parts)], axis=1).astype(np.int64)
    values = np.concatenate([np.zeros((num_rows, k)), *(part[1] for part in parts)], axis=1)
    # By label, and within a label by system, so that sums are taken in one order whatever the ranks.
    order = np.argsort(ids, axis=1, kind="stable")
    ids, values = np.take_along_axis(ids, order, 1), np.take_along_axis(values, order, 1)
    first = np.ones(ids.shape, dtype=bool)
    first[:, 1:] = ids[:, 1:] != ids[:, :-1]
    sums = np.full(ids.shape, -np.inf)
    starts = np.flatnonzero(first)
    if len(starts):
        sums[first] = np.add.reduceat(values.reshape(-1), starts)
    sums[ids < 0] = -np.inf
    best = np.lexsort((ids, -sums), axis=1)[:, :k]
    sums = np.take_along_axis(sums, best, 1)
    return np.where(sums == -np.inf, -1, np.take_along_axis(ids, best, 1)), sums


def _checked_weights(weights: Sequence[float], count: int) -> list[float]:
    shares = [float(weight) for weight in weights]
    if not count or len(shares) != count:
        raise ConfigError(f"expected a weight for each of {count} systems, got {len(shares)}")
    if not all(0 <= share < np.inf for share in shares) or not any(shares):
        raise ConfigError(f"expected weights of 0 or more, one above 0, got {', '.join(map(str, shares))}")
    return shares
