"""A draw of some of each row's positives, whose terms then estimate those of all of them without bias."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from xmc.random_streams import Stream, generator

__all__ = ["PositiveDraw", "positive_inclusion"]


def positive_inclusion(positives: sp.csr_matrix, count: int) -> np.ndarray:
    """Probability that a draw of ``count`` of a row's positives, by their relevance, holds each of them.

    ``min(1, c * relevance)``, with c such that they add up to ``count`` in each row; 1 in rows of no more
    than ``count``. For equal relevance it is ``count`` over the number of the row's positives.

    Args:
        positives: CSR [N, L], relevance weights above 0.
        count: Positives to draw of each row, at least 1.

    Returns:
        [P] float64 in (0, 1], in the order of ``positives.data``.
    """
    lengths = np.diff(positives.indptr)
    rows, relevance = np.repeat(np.arange(len(lengths)), lengths), positives.data.astype(np.float64)
    certain = np.repeat(lengths <= count, lengths)
    while True:
        # As for tempered draws: those of a share above 1 are certain, and the rest share what is left. Each
        # round makes at least one more certain, in rows of unequal relevance alone.
        left = count - np.bincount(rows, certain, len(lengths))
        total = np.bincount(rows, np.where(certain, 0.0, relevance), len(lengths))
        factors = np.divide(left, total, out=np.zeros(len(lengths)), where=total > 0)
        inclusion = np.where(certain, 1.0, relevance * factors[rows])
        above = (inclusion >= 1) & ~certain
        if not above.any():
            return inclusion
        certain |= above


class PositiveDraw:
    """At most ``count`` positives of each row of a batch, without replacement, drawn anew for each batch.

    A positive that is kept has its relevance over its inclusion probability as its weight (Horvitz-Thompson).
    As probabilities go with relevance, the weights of a row add up to the relevance of all its positives
    whichever are kept, so that not only a weighted sum of terms over a row's positives but also their mean is
    estimated without bias. Systematic sampling of the positives in random order (Madow 1949): of equal
    relevance every set of ``count`` is equally likely.
    """

    def __init__(self, count: int, *, seed: int = 0) -> None:
        """Prepare the draw; the seed and a batch's index decide it."""
        self.count, self.seed = count, seed

    def split(self, positives: sp.csr_matrix, batch_index: int) -> tuple[sp.csr_matrix, sp.csr_matrix | None]:
        """The positives [B, L] of a batch that are kept, with their weights, and the others.

        Returns:
            CSR [B, L] of float weights, and CSR bool [B, L], or None where all are kept.
        """
        inclusion = positive_inclusion(positives, self.count)
        rows = np.repeat(np.arange(positives.shape[0]), np.diff(positives.indptr))
        kept = inclusion >= 1
        if kept.all():
            return positives, None
        draw = generator(self.seed, Stream.POSITIVES, batch_index)
        starts, keys = draw.random(positives.shape[0]), draw.random(len(rows))
        open_ = np.flatnonzero(~kept)
        open_ = open_[np.lexsort((keys[open_], rows[open_]))]
        kept[open_[_systematic(inclusion[open_], rows[open_], starts)]] = True
        weights = (positives.data / inclusion).astype(np.float32)
        return _pairs(positives, rows, kept, weights), _pairs(positives, rows, ~kept, np.ones_like(kept))


def _systematic(chances: np.ndarray, rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Which pairs hold a point of ``starts[row] + 0, 1, 2, ...`` on their row's line of chances: [P] bool.

    ``rows`` ascend; the chances of a row add up to a whole number, which is how many are chosen.
    """
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    last = np.append(first[1:], len(rows)) - 1
    ends = np.cumsum(chances)
    ends -= np.repeat(np.append(0.0, ends)[first], last - first + 1)
    # Rounding must not cost a row a positive: its line ends where it should.
    ends[last] = np.rint(ends[last])
    # How many points lie before each pair's end; before a row's first pair there is none.
    points = np.floor(ends + starts[rows])
    earlier = np.append(0.0, points[:-1])
    earlier[first] = 0.0
    return np.asarray(points > earlier)


def _pairs(positives: sp.csr_matrix, rows: np.ndarray, kept: np.ndarray, values: np.ndarray) -> sp.csr_matrix:
    indptr = np.append(0, np.cumsum(np.bincount(rows[kept], minlength=positives.shape[0])))
    return sp.csr_matrix((values[kept], positives.indices[kept], indptr), shape=positives.shape)
