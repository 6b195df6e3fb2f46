"""Classifiers of words for a data set's labels, from its training rows and the lists a model has for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from xmc.data import Dataset, TextColumn
from xmc.prediction.encoded import EncodedData
from xmc.prediction.ranked_rows import excluded_rows
from xmc.random_streams import Stream, generator
from xmc.retrieval.words.classifiers import WordClassifiers
from xmc.retrieval.words.features import WordFeatures
from xmc.retrieval.words.learning import CONFUSED, expected_seconds, learn_classifiers

__all__ = ["TrainingWords", "confused_labels", "confused_where"]

MOST_SCORES = 1_000_000_000
"""Scores of training rows and labels that are looked at for negatives: of more, so many rows are drawn."""
_LEAST_RANKED = 1_000


@dataclass(eq=False)
class TrainingWords:
    """The words of a data set's training queries, counted when they are first asked for.

    Attributes:
        dataset: The data set.
        texts: Of its N training rows, in the fields that the model reads, but whole.
        seed: Of what is drawn.
    """

    dataset: Dataset
    texts: TextColumn
    seed: int = 0

    @cached_property
    def _words(self) -> tuple[WordFeatures, sp.csr_matrix]:
        return WordFeatures.learned(list(self.texts))

    @cached_property
    def expected_seconds(self) -> float:
        """What learning classifiers of all rows will take, about: a process for each thread of torch."""
        return expected_seconds(self.texts, self.dataset.relevance("train"), torch.get_num_threads())

    def classifiers(
        self,
        rows: NDArray[np.int64],
        confused: NDArray[np.integer],
        *,
        seconds: float = np.inf,
        progress: bool = False,
    ) -> WordClassifiers | None:
        """Those that rows of the training split teach; None where that would take too long.

        Args:
            rows: [n], ascending.
            confused: [n, K], of :func:`confused_labels` or :func:`confused_where`.
            seconds: What learning may take.
            progress: Show a bar.

        Raises:
            ConfigError: When scikit-learn is not installed.
        """
        features, vectors = self._words
        return learn_classifiers(
            features,
            sp.csr_matrix(vectors[rows]),
            sp.csr_matrix(self.dataset.relevance("train")[rows]),
            confused,
            apart=excluded_rows(self.dataset, "train", rows),
            seed=self.seed,
            seconds=seconds,
            processes=torch.get_num_threads(),
            progress=progress,
        )


def confused_labels(encoded: EncodedData, rows: NDArray[np.int64], *, seed: int = 0) -> NDArray[np.int64]:
    """The labels that a model ranks first for training rows, [n, 30]; -1 of rows that are not ranked."""

    def best(chosen: NDArray[np.int64], depth: int) -> NDArray[np.integer]:
        return encoded.ranked("train", chosen, depth)[0]

    return confused_where(rows, encoded.dataset.num_labels, best, seed=seed)


def confused_where(
    rows: NDArray[np.int64],
    num_labels: int,
    best: Callable[[NDArray[np.int64], int], NDArray[np.integer]],
    *,
    seed: int = 0,
) -> NDArray[np.int64]:
    """As :func:`confused_labels`, where ``best`` ranks rows [m] to a depth k: label ids [m, k]."""
    most = max(_LEAST_RANKED, MOST_SCORES // max(1, num_labels))
    places = np.arange(len(rows))
    if most < len(rows):
        draw = generator(seed, Stream.CLASSIFIER_ROWS)
        places = np.sort(draw.choice(len(rows), most, replace=False))
    confused = np.full((len(rows), min(CONFUSED, num_labels)), -1, dtype=np.int64)
    found = best(rows[places], confused.shape[1])
    confused[places, : found.shape[1]] = found
    return confused
