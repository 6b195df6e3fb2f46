"""Groups of labels (by training frequency) and of queries (by positives and length), each with its bounds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.errors import ConfigError

__all__ = [
    "Groups",
    "frequency_deciles",
    "head_torso_tail",
    "num_words",
    "query_length_groups",
    "query_positives_groups",
    "seen_and_unseen",
]

Ints = NDArray[np.int64]

_POSITIVES_BOUNDS = (1, 2, 3, 6, 11, 21)


@dataclass(frozen=True)
class Groups:
    """A division of labels or queries: every member is in exactly one group."""

    names: tuple[str, ...]
    """Short names of the G groups, in order."""
    bounds: tuple[str, ...]
    """What each group holds, in words."""
    of: Ints
    """int64 [L] or [N]: the group of each member, 0 to G - 1."""

    @property
    def sizes(self) -> Ints:
        """Members of each group, int64 [G]."""
        return np.bincount(self.of, minlength=len(self.names))


def head_torso_tail(points: Ints, bounds: tuple[int, int] = (5, 50)) -> Groups:
    """Labels by training points: head, torso (to ``bounds[1]``), tail (to ``bounds[0]``), unseen (none).

    Groups without labels are left out.

    Args:
        points: int [L], the training points of each label.
        bounds: The most points of a tail and of a torso label.

    Raises:
        ConfigError: When the bounds do not rise from at least 1.
    """
    tail, torso = bounds
    if not 1 <= tail < torso:
        raise ConfigError(f"expected two rising numbers of training points, 1 or more, got {bounds}")
    of = np.select([points > torso, points > tail, points > 0], [0, 1, 2], default=3)
    texts = (f"more than {torso:,} points", f"{tail + 1:,} to {torso:,} points", f"1 to {tail:,} points")
    names = ("head", "torso", "tail", "unseen")
    return _without_empty(Groups(names, (*texts, "no training point"), of.astype(np.int64)))


def seen_and_unseen(points: Ints) -> Groups:
    """Labels with and without a training point, ``points`` int [L]; a group without labels is left out."""
    of = np.where(points > 0, 0, 1).astype(np.int64)
    return _without_empty(Groups(("seen", "unseen"), ("1 training point or more", "no training point"), of))


def frequency_deciles(points: Ints) -> Groups:
    """Labels in ten groups of about equal volume (sum of training points), most frequent first, then unseen.

    Labels of equal frequency stay together, in the decile of the middle of their volume; so a decile can be
    larger or smaller than a tenth, and one that would be empty is left out.

    Args:
        points: int [L], the training points of each label.
    """
    frequency, inverse, labels = np.unique(-points, return_inverse=True, return_counts=True)
    frequency = -frequency
    volume = frequency * labels
    middle = (np.cumsum(volume) - volume / 2) / max(1, int(volume.sum()))
    decile = np.minimum((10 * middle).astype(np.int64), 9)
    decile[frequency == 0] = 10
    used = np.unique(decile)
    ranges = [(frequency[decile == number].min(), frequency[decile == number].max()) for number in used]
    texts = ["no training point" if number == 10 else _points(*ranges[i]) for i, number in enumerate(used)]
    names = ["unseen" if number == 10 else str(number + 1) for number in used]
    return Groups(tuple(names), tuple(texts), np.searchsorted(used, decile)[inverse].astype(np.int64))


def query_positives_groups(truth: sp.csr_matrix) -> Groups:
    """Queries by their number of positives: none, 1, 2, 3 to 5, 6 to 10, 11 to 20, more.

    Groups without queries are left out.

    Args:
        truth: CSR [N, L]; stored values other than 0 are positives.
    """
    rows = np.repeat(np.arange(truth.shape[0]), np.diff(truth.indptr))[truth.data != 0]
    counts = np.bincount(rows, minlength=truth.shape[0])
    names = ("0", "1", "2", "3 to 5", "6 to 10", "11 to 20", "over 20")
    of = np.searchsorted(_POSITIVES_BOUNDS, counts, side="right")
    return _without_empty(
        Groups(
            names,
            tuple(f"{name} positive{'' if name == '1' else 's'}" for name in names),
            of.astype(np.int64),
        )
    )


def query_length_groups(lengths: Ints) -> Groups:
    """Queries in four groups of about equal size by their length in words; equal lengths stay together.

    Args:
        lengths: int [N], words of each query.
    """
    quartiles = [0.25, 0.5, 0.75] if len(lengths) else []
    edges = np.unique(np.quantile(lengths, quartiles, method="inverted_cdf"))
    of = np.searchsorted(edges, lengths, side="left")
    used = np.unique(of)
    ranges = [(lengths[of == number].min(), lengths[of == number].max()) for number in used]
    names = tuple(f"{low:,} to {high:,}" if low < high else f"{low:,}" for low, high in ranges)
    return Groups(names, tuple(f"{name} words" for name in names), np.searchsorted(used, of).astype(np.int64))


def num_words(texts: Iterable[str]) -> Ints:
    """int64 [N]: the words of each text, parted by white space."""
    return np.fromiter((len(text.split()) for text in texts), dtype=np.int64)


def _without_empty(groups: Groups) -> Groups:
    kept = np.flatnonzero(groups.sizes)
    return Groups(
        tuple(groups.names[group] for group in kept),
        tuple(groups.bounds[group] for group in kept),
        np.searchsorted(kept, groups.of).astype(np.int64),
    )


def _points(low: int, high: int) -> str:
    if low == high:
        return f"{low:,} point{'s' if low != 1 else ''}"
    return f"{low:,} to {high:,} points"
