"""Labels ranked by the words they share with a query: tf-idf and the cosine, without any training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xmc.data.sparse_rows import SparseRows
from xmc.errors import ConfigError, DataError
from xmc.received import reading
from xmc.retrieval.words.ranker import WordRanker
from xmc.retrieval.words.tfidf import WORD, tfidf_rows, words_of

__all__ = ["FILES", "LexicalRanker"]

FILES = ("words.npy", "word_weights.npy", "word_labels.npz")
"""The words as lines of UTF-8, what each weighs, and what each label has of them."""


class LexicalRanker(WordRanker):
    """Cosines of tf-idf vectors of words, by scikit-learn, with the logarithm of the counts.

    Words and their frequencies are those of the labels' texts: a query's other words cannot be matched.
    scikit-learn counts the labels' words; queries are scored without it, to the same numbers, as importing it
    takes longer than opening an index.

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
        import scipy.sparse as sp

        vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, token_pattern=WORD)
        texts = list(labels)
        try:
            found = sp.csr_matrix(vectorizer.fit_transform(texts).T)
            words = vectorizer.get_feature_names_out().tolist()
            self._set(words, vectorizer.idf_.astype(np.float32), SparseRows.of(found))
        except ValueError:  # no label has a word
            none = sp.csr_matrix(np.empty((0, len(texts)), dtype=np.float32))
            self._set([], np.empty(0, dtype=np.float32), SparseRows.of(none))

    def _set(self, words: list[str], weights: NDArray[np.float32], labels: SparseRows) -> None:
        self._words, self._weights, self._labels = words, weights, labels  # [V], [V], [V, L]
        self._place = {word: place for place, word in enumerate(words)}
        self.num_labels = labels.shape[1]

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Cosines [n, L]."""
        return self._vectors(texts).times(self._labels)

    def _vectors(self, texts: Sequence[str]) -> SparseRows:
        """tf-idf of texts, [n, V]."""
        known = ((self._place.get(word) for word in words_of(text)) for text in texts)
        return tfidf_rows(([place for place in text if place is not None] for text in known), self._weights)

    def write(self, folder: Path) -> tuple[str, ...]:
        """Write what :meth:`read` opens into a folder, and name the files."""
        from xmc.data.relevance import save_matrix

        lines = np.frombuffer("\n".join(self._words).encode(), dtype=np.uint8)
        np.save(folder / FILES[0], lines, allow_pickle=False)
        np.save(folder / FILES[1], self._weights, allow_pickle=False)
        save_matrix(folder / FILES[2], self._labels.scipy(), packed=False)
        return FILES

    @classmethod
    def read(cls, folder: Path) -> LexicalRanker:
        """What :meth:`write` wrote.

        Raises:
            DataError: When a file is missing, damaged, or does not fit the others.
        """
        told = "the words of an index's labels"
        with reading(folder / FILES[0], told, "build the index again"):
            lines = np.load(folder / FILES[0], mmap_mode="r", allow_pickle=False)
            words = lines.tobytes().decode().split("\n") if lines.size else []
        with reading(folder / FILES[1], told, "build the index again"):
            weights = np.load(folder / FILES[1], mmap_mode="r", allow_pickle=False)
        labels = SparseRows.read(folder / FILES[2])
        shapes = weights.dtype == np.float32 and weights.shape == (labels.shape[0],)
        if not shapes or len(words) != labels.shape[0] or labels.data.dtype != np.float32:
            raise DataError(f"{folder}: its words do not fit each other: build the index again")
        made = cls.__new__(cls)
        made._set(words, np.array(weights), labels)
        return made
