"""A data set's texts as a model embeds them: encoded once, for all that ranks by them."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from xmc.data import Dataset
from xmc.distributed import World
from xmc.encoders import CutCount, DualEncoder
from xmc.prediction.ranked_rows import excluded_rows
from xmc.retrieval import Ranker
from xmc.retrieval.folding import Fold

__all__ = ["EncodedData"]


class EncodedData:
    """The labels and the queries of a data set by a model.

    Args:
        encoder: The model.
        dataset: The data set.
        labels: Vectors [L, D] of its labels by the model, of one text each, where they are known already.
        progress: Show bars.
    """

    def __init__(
        self,
        encoder: DualEncoder,
        dataset: Dataset,
        *,
        labels: NDArray[np.float32] | None = None,
        progress: bool = True,
    ) -> None:
        self.encoder, self.dataset, self.progress = encoder, dataset, progress
        self._given = labels
        self._kept: dict[str, tuple[NDArray[np.int64], NDArray[np.float32]]] = {}

    @cached_property
    def labels(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Vectors [T, D] of all texts of the labels, and the bounds [L + 1] of each label's."""
        if self._given is not None:
            return self._given, np.arange(len(self._given) + 1)
        cuts = CutCount()
        found = self.encoder.encode_label_texts(
            self.encoder.label_texts(self.dataset),
            uids=self.dataset.uids("labels"),
            progress=self.progress,
            cuts=cuts,
        )
        cuts.warn("labels")
        return found

    def queries(self, half: str, rows: NDArray[np.int64], *, keep: bool = False) -> NDArray[np.float32]:
        """Vectors [n, D] of rows, ascending, of "train" or "test"; ``keep`` spares encoding them again."""
        known, vectors = self._kept.get(half, (None, None))
        if known is not None and vectors is not None:
            places = np.minimum(np.searchsorted(known, rows), len(known) - 1)
            if np.array_equal(known[places], rows):
                return vectors if len(rows) == len(known) else vectors[places]
        texts = self.encoder.query_texts(self.dataset, half)
        found: NDArray[np.float32] = self.encoder.encode_queries(texts[rows], progress=self.progress)
        if keep:
            self._kept[half] = rows, found
        return found

    def ranked(
        self, half: str, rows: NDArray[np.int64], depth: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Label ids and scores, both [n, k], of the k best labels of rows of "train" or "test", exactly.

        k is ``depth``, or the number of labels where there are fewer. Filtered pairs are left out.
        """
        encoder, dataset = self.encoder, self.dataset
        labels, bounds = self.labels
        return Ranker.of_model(encoder, dataset.uids("labels")).search(
            self.queries(half, rows),
            labels,
            min(depth, dataset.num_labels),
            num_queries=len(rows),
            num_labels=dataset.num_labels,
            world=World(),
            exclude=excluded_rows(dataset, half, rows),
            fold=Fold(bounds, encoder.metadata.label_fold) if encoder.has_several_texts else None,
        )
