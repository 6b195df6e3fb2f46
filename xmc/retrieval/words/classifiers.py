"""A linear classifier of each label on the words of a query, which scores the labels that a model has found.

A bag of a few hundred numbers knows little of a single word; a weight of each word for each label does. The
published form ranks with both: Zhang et al., "Fast Multi-Resolution Transformer Fine-tuning for Extreme
Multi-label Text Classification" (XR-Transformer), NeurIPS 2021, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xmc.data.sparse_rows import SparseRows
from xmc.errors import DataError
from xmc.received import reading
from xmc.retrieval.fusion import Lists, add_lists, min_max
from xmc.retrieval.words.features import WordFeatures
from xmc.retrieval.words.ranker import CHUNK_SCORES

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["FILES", "WordClassifiers", "with_classifiers"]

FILES = (
    "classifier_words.npy",
    "classifier_word_weights.npy",
    "classifier_starts.npy",
    "classifier_labels.npy",
    "classifier_weights.npy",
    "classifier_biases.npy",
)
_TYPES = (np.uint64, np.float32, np.int64, np.int32, np.float32, np.float32)
_ADVICE = "build the index again"


class WordClassifiers:
    """What each word of a query says for and against each label.

    Args:
        features: The words.
        weights: float32 [V, L], by word; most are 0.
        biases: float32 [L], NaN of a label without a classifier.
    """

    def __init__(
        self, features: WordFeatures, weights: sp.csr_matrix | SparseRows, biases: NDArray[np.float32]
    ) -> None:
        self.features = features
        self.words = SparseRows.of(weights)
        self.biases = biases

    @property
    def num_labels(self) -> int:
        """L."""
        return len(self.biases)

    def scores(self, texts: Sequence[str], ids: NDArray[np.integer]) -> NDArray[np.float32]:
        """What classifiers say of labels for texts: above 0 for yes.

        Args:
            texts: Of n queries.
            ids: Label ids [n, K] of each; -1 pads.

        Returns:
            [n, K], NaN of pads and of labels that have no classifier, such as those added later.

        Raises:
            DataError: When weights that were read from a file name labels that there cannot be.
        """
        found = np.full(ids.shape, np.nan, dtype=np.float32)
        if not self.num_labels:
            return found
        rows_at_once = max(1, CHUNK_SCORES // max(1, self.num_labels))
        for start in range(0, len(texts), rows_at_once):
            chunk = slice(start, start + rows_at_once)
            own = ids[chunk]
            known = (own >= 0) & (own < self.num_labels)
            places = np.where(known, own, 0)
            said = np.take_along_axis(self._all(texts[chunk]), places, axis=1) + self.biases[places]
            found[chunk] = np.where(known, said, np.nan)
        return found

    def _all(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, L], without biases. Of the weights, which may lie on disk, only these texts' words are read."""
        try:
            return self.features.vectors(texts).times(self.words)
        except IndexError as error:
            ids = np.asarray(self.words.indices)
            got = ids.min() if ids.min() < 0 else ids.max()
            raise DataError(
                f"an index's classifiers: expected label ids from 0 and below {self.num_labels}, got {got}: "
                f"{_ADVICE}"
            ) from error

    def of_labels(self, kept: NDArray[np.int64]) -> WordClassifiers:
        """The same of an index of these labels alone, ascending, whose ids are their places."""
        known = kept[kept < self.num_labels]
        return WordClassifiers(self.features, self.words.columns(known), self.biases[known])

    def write(self, folder: Path) -> tuple[str, ...]:
        """Write what :meth:`read` opens into a folder, and name the files."""
        arrays = (
            *(self.features.keys, self.features.weights),
            *(self.words.indptr, self.words.indices, self.words.data),
        )
        for name, array, dtype in zip(FILES, (*arrays, self.biases), _TYPES, strict=True):
            np.save(folder / name, np.asarray(array, dtype=dtype), allow_pickle=False)
        return FILES

    @classmethod
    def read(cls, folder: Path) -> WordClassifiers:
        """What :meth:`write` wrote; it stays on disk, memory-mapped.

        Raises:
            DataError: When a file is missing, damaged, or does not fit the others.
        """
        arrays = []
        for name, dtype in zip(FILES, _TYPES, strict=True):
            with reading(folder / name, "the classifiers of an index's labels", _ADVICE):
                array = np.load(folder / name, mmap_mode="r", allow_pickle=False)
                if array.ndim != 1 or array.dtype != dtype:
                    raise ValueError(f"it is {array.dtype} {list(array.shape)}, expected {dtype.__name__}")
            arrays.append(array)
        keys, word_weights, starts, labels, weights, biases = arrays
        fit = len(keys) == len(word_weights) == len(starts) - 1 and len(labels) == len(weights)
        if not fit or starts[0] != 0 or starts[-1] != len(labels) or (np.diff(starts) < 0).any():
            raise DataError(f"{folder}: its classifiers do not fit each other: {_ADVICE}")
        words = SparseRows(weights, labels, starts, (len(keys), len(biases)))
        return cls(WordFeatures(keys, word_weights), words, biases)


def with_classifiers(
    lists: Lists, scores: NDArray[np.floating], share: float, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Order the labels of lists by the weighted sum of their own scores and the classifiers'.

    Both are moved to 0 to 1 in each list first. A label without a classifier keeps its own score, so that it
    is neither raised nor lowered for having none; so do all where fewer than two have one.

    Args:
        lists: Label ids [N, K], -1 pads, and their scores.
        scores: [N, K], what the classifiers say of them; NaN of labels that have none.
        share: Of the classifiers, 0 to 1.
        k: Labels to keep.

    Returns:
        Label ids and sums, both [N, k]: best first, ties by label id ascending, -1 and -inf at the end.
    """
    ids = lists[0]
    own = min_max(ids, lists[1])
    known = (ids >= 0) & np.isfinite(scores)
    high = np.where(known, scores, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    low = np.where(known, scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    known &= high > low
    said = np.where(known, min_max(np.where(known, ids, -1), np.where(known, scores, 0.0)), own)
    return add_lists([(ids, (1 - share) * own + share * said)], k, len(ids))
