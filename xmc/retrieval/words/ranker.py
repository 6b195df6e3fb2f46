"""Labels ranked by the words they share with a query, whatever a word weighs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["WordRanker", "best_of_rows"]

CHUNK_SCORES = 32_000_000
"""Scores of a chunk of queries that are held at once."""


class WordRanker(ABC):
    """What ranks by scores that are above 0 where a query and a label share a word."""

    num_labels: int
    """L."""

    @abstractmethod
    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Of each text and each label, [n, L], the caller's to change."""

    def rank(
        self, queries: Iterable[str], k: int, exclude: sp.csr_matrix | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Label ids and scores, both [N, k], best first, ties by label id ascending.

        A label that shares no word is not ranked: -1 and -inf.

        Args:
            queries: N texts.
            k: Labels of each.
            exclude: [N, L], pairs that are left out.
        """
        texts = list(queries)
        ids = np.full((len(texts), k), -1, dtype=np.int32)
        scores = np.full((len(texts), k), -np.inf, dtype=np.float32)
        rows_at_once = max(1, CHUNK_SCORES // max(1, self.num_labels))
        for start in range(0, len(texts), rows_at_once):
            chunk = slice(start, start + rows_at_once)
            dense = self.scores(texts[chunk])
            if exclude is not None:
                dense[exclude[chunk].toarray() != 0] = 0.0
            rows, labels, ranks = best_of_rows(dense, k)
            ids[chunk][rows, ranks] = labels
            scores[chunk][rows, ranks] = dense[rows, labels]
        return ids, scores


def best_of_rows(scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], ...]:
    """Rows, columns and ranks of the k best of each row of scores [n, L] that are above 0."""
    few = scores.shape[1] <= k
    least = 0.0 if few else -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
    rows, columns = np.nonzero((scores > 0) & (scores >= least))
    order = np.lexsort((columns, -scores[rows, columns], rows))
    rows, columns = rows[order], columns[order]
    ranks = np.arange(len(rows)) - np.searchsorted(rows, rows)
    kept = ranks < k
    return rows[kept], columns[kept], ranks[kept]
