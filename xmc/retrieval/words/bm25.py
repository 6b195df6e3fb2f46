"""Labels ranked by BM25 of the words they share with a query, by the library bm25s, without any training."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from xmc.errors import ConfigError
from xmc.retrieval.words.ranker import WordRanker

__all__ = ["BM25Ranker"]

_WORD = re.compile(r"\b\w+\b")


class BM25Ranker(WordRanker):
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
        self.num_labels = len(words)
        self._index = None
        if any(words):
            self._index = bm25s.BM25(method="lucene", k1=k1, b=b)
            self._index.index(words, show_progress=False)
            self._known = set(self._index.vocab_dict)

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Sums of weights [n, L]."""
        dense = np.zeros((len(texts), self.num_labels), dtype=np.float32)
        if self._index is not None:
            for row, text in enumerate(texts):
                known = [word for word in _words(text) if word in self._known]
                if known:
                    dense[row] = self._index.get_scores(known)
        return dense


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
