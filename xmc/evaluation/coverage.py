"""How many distinct labels a set of ranked lists gets right, or names at all: counted label by label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmc.evaluation.hits import Hits

__all__ = ["CoverageCounter"]

_NEVER = np.iinfo(np.int32).max


class CoverageCounter:
    """Keeps for each of L labels the best rank at which any row named it, rightly or at all.

    Then coverage at any k is a count. Memory: 9 bytes per label.

    * Cov@k: labels that are a hit among the first k predictions of some row, over labels that are a positive
      of some row. Labels without a positive in these rows are in neither.
    * Reach@k: labels among the first k predictions of some row, right or wrong, over all L.

    Args:
        num_labels: L.
    """

    def __init__(self, num_labels: int) -> None:
        self.best_hit: NDArray[np.int32] = np.full(num_labels, _NEVER, dtype=np.int32)
        self.best_rank: NDArray[np.int32] = np.full(num_labels, _NEVER, dtype=np.int32)
        self.positive: NDArray[np.bool_] = np.zeros(num_labels, dtype=bool)

    def add(self, hits: Hits, ids: NDArray[np.integer]) -> None:
        """Take in rows: their hits and their lists [N, K]."""
        self.positive[hits.positive_labels] = True
        np.minimum.at(self.best_hit, hits.labels, hits.ranks.astype(np.int32))
        # A column at a time: all that is written to a label in one column is the same rank.
        for rank in range(ids.shape[1]):
            named = ids[:, rank]
            named = named[named >= 0]
            self.best_rank[named] = np.minimum(self.best_rank[named], rank)

    def covered(self, k: int) -> float:
        """Cov@k as a fraction; 0 when no label has a positive."""
        positives = int(self.positive.sum())
        return int((self.best_hit < k).sum()) / positives if positives else 0.0

    def reached(self, k: int) -> float:
        """Reach@k as a fraction."""
        return int((self.best_rank < k).sum()) / max(1, len(self.best_rank))
