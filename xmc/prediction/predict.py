"""Ranks labels for queries as they come, a block at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xmc.retrieval.several import RankedLabels

if TYPE_CHECKING:
    from xmc.encoders import CutCount
    from xmc.prediction.calibration import Calibration
    from xmc.prediction.query import Query

__all__ = ["Prediction", "predict_blocks"]

BLOCK = 4_096
"""Queries encoded and searched at a time: enough to pack well, and memory does not grow with the file."""


@dataclass(frozen=True)
class Prediction:
    """The labels of one query, best first; K is the same for all, pads at the end."""

    query: Query
    ids: NDArray[np.int64]
    """[K] label ids; -1 pads."""
    scores: NDArray[np.float32]
    """[K]; -inf where there is no label."""
    probabilities: NDArray[np.float64] | None
    """[K] that each is right, or None without a calibration; an ensemble's need not fall as its scores do."""

    @property
    def count(self) -> int:
        """Labels kept."""
        return int((self.ids >= 0).sum())


def predict_blocks(
    index: RankedLabels,
    queries: Iterable[Query],
    k: int,
    *,
    least_score: float | None = None,
    least_sureness: float | None = None,
    calibration: Calibration | None = None,
    cuts: CutCount | None = None,
) -> Iterator[list[Prediction]]:
    """Predictions of 4,096 queries at a time, in the order of ``queries``. A blank query gets no label.

    Args:
        index: The labels.
        queries: Read as they are needed.
        k: Most labels of a query; no more are asked for than there are. Without any, no query gets one.
        least_score: Labels of a lower score are left out.
        least_sureness: Labels of which the calibration is less sure are left out; of a model that ranks alone
            these are scores, too (`Calibration.sureness`).
        calibration: Gives probabilities.
        cuts: Counts the texts that are longer than the model reads.

    Raises:
        XMCError: As reading the queries or searching does.
    """
    stream, encoder, k = iter(queries), index.query_encoder, max(1, min(k, len(index)))
    while block := list(islice(stream, BLOCK)):
        ids = np.full((len(block), k), -1, dtype=np.int64)
        scores = np.full((len(block), k), -np.inf, dtype=np.float32)
        asked = [row for row, query in enumerate(block) if query.text.strip()]
        evidence = None
        if asked:
            texts = [block[row].text for row in asked]
            found = index.ranked(texts, k, encoder, cuts, evidence=calibration is not None)
            ids[asked], scores[asked] = found.ids, found.scores
            if found.evidence is not None:
                evidence = np.zeros((len(block), *found.evidence.shape[1:]))
                evidence[asked] = found.evidence
        sure = scores if calibration is None else calibration.sureness(scores, evidence)
        low = np.zeros(ids.shape, dtype=np.bool_)
        if least_score is not None:
            low |= scores < least_score
        if least_sureness is not None:
            low |= sure < least_sureness
        # What is kept moves up in its order, which need not be that of sureness.
        order = np.argsort(low, axis=1, kind="stable")
        ids, scores, sure = (
            np.take_along_axis(part, order, axis=1)
            for part in (np.where(low, -1, ids), np.where(low, -np.inf, scores), sure)
        )
        chances = None if calibration is None else calibration.probability(np.where(ids < 0, -np.inf, sure))
        yield [
            Prediction(
                query, ids[row], scores[row].astype(np.float32), None if chances is None else chances[row]
            )
            for row, query in enumerate(block)
        ]
