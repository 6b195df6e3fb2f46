"""How long what follows the final training will take: measuring and indexing, by a small part of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xmc.data import Dataset
from xmc.durations import least_seconds
from xmc.encoders import DualEncoder
from xmc.prediction.classifying import MOST_SCORES
from xmc.retrieval import LexicalRanker, exact_search
from xmc.retrieval.vote import DEPTH

__all__ = ["Pace", "confusing_seconds", "finishing_seconds", "measure_pace"]

SAMPLE = 512
"""Labels whose encoding is timed, and queries whose search is."""
TIMES = 5
"""That either is done, as one may be held up by what else the machine does."""
SEARCHED = 8_192
"""Vectors that these are searched among."""
MATCHED = 64
"""Queries whose words are matched, as that takes longer."""
MATCHED_TIMES = 2


@dataclass(frozen=True)
class Pace:
    """Seconds on this machine, as it is now.

    Attributes:
        text: To encode a text.
        score: Of one pair of vectors in an exact search.
        match: To rank all labels of the data set by the words of one query.
    """

    text: float
    score: float
    match: float


def measure_pace(encoder: DualEncoder, dataset: Dataset, words: LexicalRanker | None) -> Pace:
    """Time a little of each; no test query is read.

    Args:
        encoder: Of the kind that is trained.
        dataset: The data set.
        words: Of its labels; None where no test queries are to be ranked by them.
    """
    texts, queries = dataset.texts("labels")[:SAMPLE], dataset.texts("train")[:MATCHED]
    encoder.encode_labels(texts[:1])  # the first call of a process sets libraries up
    encoding = least_seconds(lambda: encoder.encode_labels(texts), TIMES)
    # Any vectors, unlike one another.
    size = SEARCHED, encoder.dimension
    vectors = np.sin(np.arange(SEARCHED * encoder.dimension, dtype=np.float32)).reshape(size)
    searching = least_seconds(lambda: exact_search(vectors[:SAMPLE], vectors, DEPTH), TIMES)
    matching = 0.0 if words is None else least_seconds(lambda: words.rank(queries, DEPTH), MATCHED_TIMES)
    return Pace(
        encoding / max(1, len(texts)), searching / (SAMPLE * SEARCHED), matching / max(1, len(queries))
    )


def finishing_seconds(pace: Pace, dataset: Dataset, voters: int, most_voting: float) -> float:
    """What measuring and indexing take, but for classifiers.

    That is the baseline of words, the untrained encoder and the trained one on the test split, the index, and
    what ranks beside the model on as many test queries as ``most_voting`` seconds hold.

    Args:
        pace: Of this machine.
        dataset: The data set.
        voters: Training queries that a vote encodes and searches.
        most_voting: Seconds that searching them may take.
    """
    labels, tested = dataset.num_labels, dataset.num_test
    encoding = pace.text * (3 * labels + 3 * tested + voters)
    searching = pace.score * 3 * tested * labels
    voting = min(most_voting, pace.score * tested * voters)
    return encoding + searching + voting + pace.match * tested


def confusing_seconds(pace: Pace, num_rows: int, num_labels: int) -> float:
    """What finding the labels that a model takes for those of its training rows takes, for classifiers.

    Args:
        pace: Of this machine.
        num_rows: Training queries, which a vote or this encodes.
        num_labels: L.
    """
    return pace.score * min(num_rows * num_labels, MOST_SCORES)
