"""Of what was tried on some rows, what changes least among those that are as good as the best.

The rule of one standard error (Breiman et al. 1984, "Classification and Regression Trees", section 3.4.3).
Rows that are held out of the training split are more like it than those of another day, and some of what
was tried is good on them by chance: both favour what changes most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tried", "mildest"]

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Tried(Generic[T]):
    """Options that were tried on N rows.

    Attributes:
        options: What was tried.
        metrics: In percent.
        rows: [N], what each row has of the metric that decides.
        change: How much it changes; 0 for nothing.
    """

    options: T
    metrics: Mapping[str, float]
    rows: NDArray[np.float64]
    change: float


def mildest(tried: Sequence[Tried[T]], same: NDArray[np.int64] | None = None) -> Tried[T]:
    """What changes least and falls short of the best by at most a standard error of their difference.

    Of equal changes the first stands.

    Args:
        tried: What there is to choose from.
        same: [N], equal for rows that are one row measured several times, such as one that several folds hold
            out: what it has each time goes together, and the standard error is that of such groups (Liang and
            Zeger 1986, "Longitudinal data analysis using generalized linear models"). None where all differ.
    """
    groups = np.arange(len(tried[0].rows)) if same is None else np.unique(same, return_inverse=True)[1]
    best = max(tried, key=lambda one: float(one.rows.mean()))
    return min((one for one in tried if _as_good(one.rows, best.rows, groups)), key=lambda one: one.change)


def _as_good(rows: NDArray[np.float64], best: NDArray[np.float64], groups: NDArray[np.int64]) -> bool:
    short = best - rows
    mean = float(short.mean())
    together = np.bincount(groups, short - mean)
    return mean <= float(np.sqrt(np.square(together).sum())) / len(short)
