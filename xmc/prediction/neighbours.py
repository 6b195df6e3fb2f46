"""Labels near labels: each is asked with its own text, and is none of its neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from xmc.errors import DataError
from xmc.prediction.predict import Prediction, predict_blocks
from xmc.prediction.query import Query
from xmc.retrieval.several import RankedLabels

if TYPE_CHECKING:
    from xmc.encoders import CutCount

__all__ = ["predict_neighbours"]


def predict_neighbours(
    index: RankedLabels, uids: Sequence[str], k: int, *, cuts: CutCount | None = None
) -> Iterator[list[Prediction]]:
    """The k best labels for the text of each label, without itself, in the order of ``uids``; by blocks.

    What is found is what the model was taught that a text asks for: with a model of related items these are
    the items related to this one.

    Args:
        index: The labels.
        uids: Of those that are asked for.
        k: Most neighbours of a label.
        cuts: Counts the texts that are longer than the model reads.

    Raises:
        DataError: When a uid is no label's, or its text is blank.
    """
    own = [index.id_of(uid) for uid in uids]
    hits = index.hits_of(np.array(own, dtype=np.int64), np.zeros(len(own), dtype=np.float32))
    for hit in hits:
        if not hit.text.strip():
            raise DataError(
                f"expected a label with a text to ask with, got {hit.uid!r:.80}, whose text is blank"
            )
    queries = [Query(hit.uid, hit.text) for hit in hits]
    place = iter(own)
    for block in predict_blocks(index, queries, k + 1, cuts=cuts):
        yield [_without(prediction, next(place), k) for prediction in block]


def _without(prediction: Prediction, label: int, k: int) -> Prediction:
    others = np.flatnonzero(prediction.ids != label)[:k]
    return replace(prediction, ids=prediction.ids[others], scores=prediction.scores[others])
