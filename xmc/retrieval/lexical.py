"""Labels ranked by the words they share with a query: tf-idf and the cosine, without any training."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.errors import ConfigError

__all__ = ["LexicalRanker", "best_of_rows"]

CHUNK_SCORES = 32_000_000
"""Scores of a chunk of queries that are held at once."""


class LexicalRanker:
    """Cosines of tf-idf vectors of words, from scikit-learn, with the logarithm of the counts.

    Words and their frequencies are those of the labels' texts: a query's other words cannot be matched.

    Args:
        labels: Texts of the L labels.

    Raises:
        ConfigError: When scikit-learn is not installed.
    """

    def __init__(self, labels: Iterable[str]) -> None:
        try:
            from sklearn.feature_extraction.text import TfidfVectorizer
        except ImportError as error:
            raise ConfigError("the lexical baseline needs scikit-learn: pip install scikit-learn") from error
        self._vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, token_pattern=r"(?u)\b\w+\b")
        try:
            self._labels = self._vectorizer.fit_transform(labels).T.tocsr()
        except ValueError:  # no label has a word
            self._labels = None

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
        if self._labels is None or not texts:
            return ids, scores
        vectors, num_labels = self._vectorizer.transform(texts), self._labels.shape[1]
        rows_at_once = max(1, CHUNK_SCORES // num_labels)
        for start in range(0, len(texts), rows_at_once):
            chunk = slice(start, start + rows_at_once)
            dense = (vectors[chunk] @ self._labels).toarray()
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
