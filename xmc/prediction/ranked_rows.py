"""Rankings of chosen rows of a data set by words, and the pairs that no ranking of theirs has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.data import Dataset
from xmc.retrieval.words.ranker import WordRanker

__all__ = ["excluded_rows", "rows_by_words"]


def rows_by_words(
    ranker: Callable[[Sequence[str]], WordRanker],
    dataset: Dataset,
    half: str,
    rows: NDArray[np.int64],
    depth: int,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The same by a kind of `WordRanker`, of the texts in the data set's own fields."""
    made = ranker(dataset.texts("labels"))
    return made.rank(dataset.texts(half)[rows], depth, excluded_rows(dataset, half, rows))


def excluded_rows(dataset: Dataset, half: str, rows: NDArray[np.int64]) -> sp.csr_matrix | None:
    """The filtered pairs of some rows, [n, L]."""
    excluded = dataset.filter("test" if half == "test" else "train")
    return None if excluded is None else sp.csr_matrix(excluded[rows])
