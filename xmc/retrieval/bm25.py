"""Labels ranked by BM25 of the words they share with a query, by the library bm25s, without any training."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.errors import ConfigError
from xmc.retrieval.lexical import CHUNK_SCORES, best_of_rows

__all__ = ["BM25Ranker"]

_WORD = re.compile(r"\b\w+\b")


class BM25Ranker:
    """Sums of BM25 weights of the words of a query, each as often as it is there, as Lucene has them.

    Robertson and Zaragoza 2009, "The probabilistic relevance framework: BM25 and beyond", section 3. Words
    are those of `LexicalRanker`; a long query's other words cost nothing.

    Args:
        labels: Texts of the L labels.
        k1: How slowly a word that is repeated in a label stops counting.
        b: How much a label's length counts against it, 0 to 1.

    Raises:
        ConfigError: When bm25s is not installed, or k1 or b cannot be.
    """

    def __init__(self, labels: Iterable[str], *, k1: float = 1.5, b: float = 0.75) -> None:
        if not 0 <= k1 < np.inf or not 0 <= b <= 1:
            raise ConfigError(f"BM25: expected k1 of at least 0 and b of 0 to 1, got {k1} and {b}")
        try:
            import bm25s
        except ImportError as error:
            raise ConfigError("ranking by BM25 needs bm25s: pip install bm25s") from error
        words = [_words(text) for text in labels]
        self._num_labels = len(words)
        self._index = None
        if any(words):
            self._index = bm25s.BM25(method="lucene", k1=k1, b=b)
            self._index.index(words, show_progress=False)
            self._known = set(self._index.vocab_dict)

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
        if self._index is None:
            return ids, scores
        rows_at_once = max(1, CHUNK_SCORES // self._num_labels)
        for start in range(0, len(texts), rows_at_once):
            chunk = slice(start, start + rows_at_once)
            dense = np.zeros((len(texts[chunk]), self._num_labels), dtype=np.float32)
            for row, text in enumerate(texts[chunk]):
                known = [word for word in _words(text) if word in self._known]
                if known:
                    dense[row] = self._index.get_scores(known)
            if exclude is not None:
                dense[exclude[chunk].toarray() != 0] = 0.0
            rows, labels, ranks = best_of_rows(dense, k)
            ids[chunk][rows, ranks] = labels
            scores[chunk][rows, ranks] = dense[rows, labels]
        return ids, scores


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
