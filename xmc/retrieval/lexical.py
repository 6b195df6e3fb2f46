"""Labels ranked by the words they share with a query: tf-idf and the cosine, without any training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from xmc.errors import ConfigError
from xmc.retrieval.word_ranker import WordRanker

__all__ = ["LexicalRanker"]


class LexicalRanker(WordRanker):
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
        texts = list(labels)
        self.num_labels = len(texts)
        try:
            self._labels = self._vectorizer.fit_transform(texts).T.tocsr()
        except ValueError:  # no label has a word
            self._labels = None

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Cosines [n, L]."""
        if self._labels is None or not texts:
            return np.zeros((len(texts), self.num_labels), dtype=np.float32)
        found: NDArray[np.float32] = (self._vectorizer.transform(texts) @ self._labels).toarray()
        return found
