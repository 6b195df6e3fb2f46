"""Rankings of chosen rows of a data set by a model or by words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.data import Dataset
from xmc.distributed import World
from xmc.encoders import CutCount, DualEncoder
from xmc.retrieval import Ranker
from xmc.retrieval.folding import Fold
from xmc.retrieval.words.ranker import WordRanker

__all__ = ["excluded_rows", "ranked_rows", "ranked_vectors", "rows_by_words"]


def ranked_rows(
    encoder: DualEncoder,
    dataset: Dataset,
    half: str,
    rows: NDArray[np.int64],
    depth: int,
    *,
    progress: bool = True,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Label ids and scores, both [n, k], of the k best labels of some rows of "train" or "test", exactly.

    k is ``depth``, or the number of labels where there are fewer. Filtered pairs are left out.
    """
    queries = encoder.encode_queries(encoder.query_texts(dataset, half)[rows], progress=progress)
    return ranked_vectors(encoder, dataset, half, rows, queries, depth, progress=progress)


def ranked_vectors(
    encoder: DualEncoder,
    dataset: Dataset,
    half: str,
    rows: NDArray[np.int64],
    queries: NDArray[np.float32],
    depth: int,
    *,
    progress: bool = True,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """As `ranked_rows`, by the embeddings [n, D] of the rows' texts."""
    cuts = CutCount()
    uids = dataset.uids("labels")
    labels, bounds = encoder.encode_label_texts(
        encoder.label_texts(dataset), uids=uids, progress=progress, cuts=cuts
    )
    fold = Fold(bounds, encoder.metadata.label_fold) if encoder.has_several_texts else None
    cuts.warn("labels")
    return Ranker.of_model(encoder, uids).search(
        queries,
        labels,
        min(depth, dataset.num_labels),
        num_queries=len(rows),
        num_labels=dataset.num_labels,
        world=World(),
        exclude=excluded_rows(dataset, half, rows),
        fold=fold,
    )


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
