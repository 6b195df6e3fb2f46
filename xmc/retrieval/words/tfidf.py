"""tf-idf of texts in which the words are places of a table: logarithms of counts, rows of length 1."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from xmc.data.sparse_rows import SparseRows

__all__ = ["WORD", "tfidf_rows", "words_of"]

WORD = r"(?u)\b\w+\b"


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, as scikit-learn's vectorisers find them by `WORD`."""
    return re.findall(WORD, text.lower())


def tfidf_rows(texts: Iterable[Sequence[int]], weights: NDArray[np.float32]) -> SparseRows:
    """float32 [n, V] of n texts, each row of length 1, or empty where a text has none of the words.

    The numbers are those of scikit-learn's ``TfidfVectorizer(sublinear_tf=True)``, which takes longer to
    import than an index takes to open.

    Args:
        texts: The place of each word of a text, in any order.
        weights: [V], the inverse document frequency of each place.
    """
    places: list[int] = []
    counts: list[int] = []
    bounds = [0]
    for text in texts:
        own = sorted(Counter(text).items())
        places += [place for place, _ in own]
        counts += [count for _, count in own]
        bounds.append(len(places))
    rows = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    values = (np.log(np.array(counts, dtype=np.float32)) + 1) * weights[np.array(places, dtype=np.int64)]
    squares = np.bincount(rows, values.astype(np.float64) ** 2, minlength=len(bounds) - 1)
    values = (values / np.sqrt(squares)[rows]).astype(np.float32)
    return SparseRows(
        values, np.array(places, dtype=np.int64), np.array(bounds), (len(bounds) - 1, len(weights))
    )
