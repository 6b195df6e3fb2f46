"""Texts as tf-idf of their words and of pairs of neighbours, found by a number in place of a dictionary."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xmc.data.sparse_rows import SparseRows
from xmc.errors import ConfigError
from xmc.retrieval.words.tfidf import WORD, tfidf_rows, words_of

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["WordFeatures", "word_keys"]


def word_keys(words: Iterable[str]) -> NDArray[np.uint64]:
    """A number of 64 bits for each word or pair, the same on every machine (BLAKE2b).

    Of a million different words two have the same number with a probability of 3e-8; they would count as one.
    """
    digests = [hashlib.blake2b(word.encode(), digest_size=8).digest() for word in words]
    return np.array(np.frombuffer(b"".join(digests), dtype="<u8"), dtype=np.uint64)


class WordFeatures:
    """The words and pairs that count, and what each weighs.

    Args:
        keys: uint64 [V], of :func:`word_keys`, ascending.
        weights: float32 [V], their inverse document frequencies.
    """

    def __init__(self, keys: NDArray[np.uint64], weights: NDArray[np.float32]) -> None:
        self.keys, self.weights = keys, weights

    @classmethod
    def learned(cls, texts: Sequence[str], least: int = 2) -> tuple[WordFeatures, sp.csr_matrix]:
        """Those of texts, and the texts by them: float32 [n, V].

        Args:
            texts: Of n queries.
            least: Texts that a word or pair is in at least.

        Raises:
            ConfigError: When scikit-learn is not installed.
        """
        import scipy.sparse as sp

        try:
            from sklearn.feature_extraction.text import TfidfVectorizer
        except ImportError as error:
            raise ConfigError("classifiers of words need scikit-learn: pip install scikit-learn") from error
        vectorizer = TfidfVectorizer(
            sublinear_tf=True, dtype=np.float32, token_pattern=WORD, ngram_range=(1, 2), min_df=least
        )
        try:
            found = sp.csc_matrix(vectorizer.fit_transform(texts))
        except ValueError:  # no word is in so many texts
            nothing = cls(np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.float32))
            return nothing, sp.csr_matrix(np.empty((len(texts), 0), dtype=np.float32))
        keys, places = np.unique(word_keys(vectorizer.get_feature_names_out().tolist()), return_index=True)
        weights = vectorizer.idf_.astype(np.float32)[places]
        return cls(keys, weights), sp.csr_matrix(found[:, places])

    def vectors(self, texts: Iterable[str]) -> SparseRows:
        """tf-idf of texts, float32 [n, V]; a word that does not count is passed over."""
        return tfidf_rows((self._places(text) for text in texts), self.weights)

    def _places(self, text: str) -> list[int]:
        words = words_of(text)
        keys = word_keys([*words, *(f"{first} {second}" for first, second in pairwise(words))])
        places = np.minimum(np.searchsorted(self.keys, keys), max(len(self.keys) - 1, 0))
        return places[self.keys[places] == keys].tolist() if len(self.keys) else []
