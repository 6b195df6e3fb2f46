"""Classifiers of labels on words, learned from what a model takes for a row's labels and what they are.

The negatives of a label are rows that the model gives it to and that do not have it, and some drawn ones:
Yu et al., "PECOS: Prediction for Enormous and Correlated Output Spaces", JMLR 2022, section 4.2
(matcher-aware negatives). Several processes learn beside each other; threads would not do, as liblinear has
one stream of random numbers a process.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import closing
from itertools import chain
from pickle import PicklingError
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.durations import least_seconds
from xmc.errors import ConfigError
from xmc.progress import Bar
from xmc.random_streams import Stream, generator
from xmc.retrieval.words.classifiers import WordClassifiers
from xmc.retrieval.words.features import WordFeatures
from xmc.retrieval.words.linear import Classifier, Lesson, classifiers_of, fitted, import_learner

__all__ = ["CONFUSED", "expected_seconds", "learn_classifiers", "taught"]

_log = logging.getLogger(__name__)

CONFUSED = 30
"""The labels of a row that a model ranks first: where they are wrong, the row is a negative of theirs."""

DRAWN = 20
"""Rows drawn as negatives of each label beside those."""

LEAST_ROWS = 2
"""Rows that a label with a classifier has: of one alone its words are learned by heart."""

MOST_ROWS = 20_000
"""Positives of a classifier at most, and negatives."""

_SAMPLE = 500
_TOLD = 64
"""Labels that a process learns at a time; after them the time is looked at again."""

_ALONE_SECONDS = 15.0
"""What is done sooner by one process is: others take some seconds to start."""

_PACE = 0.8
"""Of a process that others work beside, as share of its own alone."""


def taught(relevance: sp.csr_matrix) -> NDArray[np.int64]:
    """The labels that have enough rows [N, L] for a classifier."""
    rows = np.bincount(relevance.indices[relevance.data > 0], minlength=relevance.shape[1])
    return np.flatnonzero((rows >= LEAST_ROWS) & (rows < relevance.shape[0]))


def expected_seconds(texts: Sequence[str], relevance: sp.csr_matrix, processes: int = 1) -> float:
    """What learning the words of texts [N] and the classifiers of relevance [N, L] will take, about.

    Told by the first texts and two classifiers of them; right within a factor of two.

    Args:
        texts: Of the rows.
        relevance: [N, L].
        processes: That may learn beside each other.
    """
    labels = len(taught(relevance))
    sample = texts[: min(len(texts), _SAMPLE)]
    if labels == 0 or len(sample) < 4:
        return 0.0
    vectors = WordFeatures.learned(sample, least=1)[1]
    if not vectors.shape[1]:
        return 0.0
    each_text = least_seconds(lambda: WordFeatures.learned(sample, least=1)) / len(sample)
    few = max(4, len(sample) // 25)
    long, short = (_seconds_of_one(vectors[:count]) for count in (len(sample), few))
    each_row = max(0.0, long - short) / max(1, len(sample) - few)
    confused = len(texts) * min(CONFUSED, relevance.shape[1]) / labels
    rows = min(relevance.nnz, labels * MOST_ROWS) + labels * (DRAWN + min(confused, MOST_ROWS))
    learning = labels * short + each_row * rows
    return each_text * len(texts) + _shared(learning, processes)


def _shared(seconds: float, processes: int) -> float:
    """What processes take for that which one does in so many seconds."""
    return seconds if seconds < _ALONE_SECONDS or processes == 1 else seconds / (_PACE * processes)


def _seconds_of_one(vectors: sp.csr_matrix) -> float:
    """Of a label that texts have which have a certain word, as nearly as there is a quarter of them."""
    texts, words = vectors.shape
    having = np.bincount(vectors.indices, minlength=words)
    word = int(np.argmin(np.abs(having - texts / 4)))
    positive = np.isin(np.arange(texts), vectors.tocsc()[:, word].indices)
    if positive.all() or not positive.any():
        positive[0] = not positive[0]
    return least_seconds(lambda: fitted(vectors, positive, 0))


def learn_classifiers(
    features: WordFeatures,
    vectors: sp.csr_matrix,
    relevance: sp.csr_matrix,
    confused: NDArray[np.integer],
    *,
    apart: sp.csr_matrix | None = None,
    seed: int = 0,
    seconds: float = np.inf,
    processes: int = 1,
    progress: bool = False,
) -> WordClassifiers | None:
    """A classifier of every label that has enough rows; None where that would take too long.

    The numbers are the same whatever the number of processes.

    Args:
        features: The words that count.
        vectors: [N, V], the rows' texts by them.
        relevance: [N, L].
        confused: Label ids [N, K] that a model gives each row, right or wrong; -1 pads.
        apart: [N, L], pairs that are neither right nor wrong; or None.
        seed: Of the drawn rows, and of the order in which labels and rows come.
        seconds: What learning may take, told by the first labels.
        processes: That learn beside each other, where there is more to do than starting them takes.
        progress: Show a bar.

    Raises:
        ConfigError: When scikit-learn is not installed, or the rows differ in number.
    """
    if not vectors.shape[0] == relevance.shape[0] == len(confused):
        raise ConfigError(
            f"expected as many texts and lists as rows of relevance, got {vectors.shape[0]}, {len(confused)} "
            f"and {relevance.shape[0]}"
        )
    num_rows, num_labels = relevance.shape
    draw = generator(seed, Stream.CLASSIFIER_ROWS)
    labels = draw.permutation(taught(relevance))
    biases = np.full(num_labels, np.nan, dtype=np.float32)
    words: list[NDArray[np.int64]] = []
    values: list[NDArray[np.float32]] = []
    learned: list[int] = []
    rows = _RowsOfLabels(relevance, confused, apart)
    parts = [labels[start : start + _TOLD].tolist() for start in range(0, len(labels), _TOLD)]
    lessons = ([rows.of(label, draw) for label in part] for part in parts)
    import_learner()
    clock = _Clock(len(labels), processes)
    with (
        Bar(len(labels), "classifiers of words", "label", shown=progress) as bar,
        closing(_learned(vectors, lessons, seed, clock)) as found,
    ):
        for part, classifiers in zip(parts, found, strict=True):
            for label, classifier in zip(part, classifiers, strict=True):
                if classifier is not None:
                    biases[label] = classifier.bias
                    words.append(classifier.words)
                    values.append(classifier.weights)
                    learned.append(label)
            bar.update(len(part))
            clock.count(len(part))
            if not clock.is_done and clock.expected > seconds:
                return None
    return WordClassifiers(features, _by_word(words, values, learned, (vectors.shape[1], num_labels)), biases)


class _Clock:
    """Tells from the labels so far what all take, and whether several processes are worth starting.

    Args:
        total: Labels.
        processes: That there may be.
    """

    def __init__(self, total: int, processes: int) -> None:
        self._started, self._total, self._processes = time.perf_counter(), total, processes
        self._done = self._first = 0
        self._alone = 0.0
        self._since: tuple[int, float] | None = None

    def count(self, labels: int) -> None:
        """So many more are done."""
        self._done += labels
        if not self._first:
            self._first, self._alone = self._done, self._used
        elif self._since is None:
            self._since = self._done, self._used

    @property
    def is_done(self) -> bool:
        """Whether no label is left."""
        return self._done == self._total

    @property
    def _used(self) -> float:
        return time.perf_counter() - self._started

    @property
    def _left_alone(self) -> float:
        """Seconds that one process takes for what came after the first labels."""
        return self._alone / self._first * (self._total - self._first)

    @property
    def processes(self) -> int:
        """How many to start after the first labels."""
        return self._processes if self._left_alone > _ALONE_SECONDS else 1

    @property
    def expected(self) -> float:
        """Seconds in all, by labels since the first of other processes, which take time to start."""
        left = self._total - self._done
        done, used = self._since or (self._done, self._used)
        if done == self._done:
            each = self._alone / self._first
            return self._used + _shared(each * left, self._processes)
        return self._used + (self._used - used) / (self._done - done) * left


def _learned(
    vectors: sp.csr_matrix, lessons: Iterator[list[Lesson]], seed: int, clock: _Clock
) -> Generator[list[Classifier | None], None, None]:
    """The classifiers of each part, in order: of the first here, of others where ``clock`` says."""
    for some in lessons:
        yield classifiers_of(vectors, some, seed)
        if clock.processes > 1:
            break
    else:
        return
    waiting: deque[list[Lesson]] = deque()
    try:
        for own in _beside(vectors, lessons, seed, clock.processes, waiting):
            waiting.popleft()
            yield own
    except (OSError, PicklingError, BrokenExecutor) as error:
        _log.warning(
            "processes beside this one cannot learn classifiers of words (%s): it goes on alone",
            str(error).partition("\n")[0] or type(error).__name__,
        )
        for some in chain(waiting, lessons):
            yield classifiers_of(vectors, some, seed)


def _beside(
    vectors: sp.csr_matrix,
    lessons: Iterator[list[Lesson]],
    seed: int,
    processes: int,
    waiting: deque[list[Lesson]],
) -> Generator[list[Classifier | None], None, None]:
    """The classifiers of each part by several processes, in order; ``waiting`` has what was sent to them."""
    from joblib import Parallel, delayed

    def sent() -> Iterator[Any]:
        for some in lessons:
            waiting.append(some)
            yield delayed(classifiers_of)(vectors, some, seed)

    # The vectors are written to a file once, which processes map.
    work = Parallel(processes, backend="loky", return_as="generator", max_nbytes="1M", mmap_mode="r")
    found = work(sent())
    try:
        yield from found
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that some are not waited for
            found.close()


class _RowsOfLabels:
    """The rows that a label is learned from."""

    def __init__(
        self, relevance: sp.csr_matrix, confused: NDArray[np.integer], apart: sp.csr_matrix | None
    ) -> None:
        own = confused >= 0
        rows = np.nonzero(own)[0]
        ones = np.ones(len(rows), dtype=bool)
        self._confused = sp.csc_matrix((ones, (rows, confused[own])), shape=relevance.shape)
        self._positive = sp.csc_matrix(relevance > 0)
        self._apart = None if apart is None else sp.csc_matrix(apart.astype(bool))
        self._num_rows = relevance.shape[0]

    def of(self, label: int, draw: np.random.Generator) -> Lesson:
        """Rows, ascending, and whether each has the label."""
        positives = _column(self._positive, label)
        others = [_column(self._confused, label), draw.integers(0, self._num_rows, DRAWN)]
        negatives = np.setdiff1d(np.concatenate(others), positives)
        if self._apart is not None:
            negatives = np.setdiff1d(negatives, _column(self._apart, label))
        kept = [_some(positives, draw), _some(negatives, draw)]
        rows = np.sort(np.concatenate(kept))
        return Lesson(rows, np.isin(rows, kept[0]))


def _column(matrix: sp.csc_matrix, label: int) -> NDArray[np.int64]:
    return matrix.indices[matrix.indptr[label] : matrix.indptr[label + 1]].astype(np.int64)


def _some(rows: NDArray[np.int64], draw: np.random.Generator) -> NDArray[np.int64]:
    return rows if len(rows) <= MOST_ROWS else draw.choice(rows, MOST_ROWS, replace=False)


def _by_word(
    words: list[NDArray[np.int64]],
    values: list[NDArray[np.float32]],
    labels: list[int],
    shape: tuple[int, int],
) -> sp.csr_matrix:
    """The weights of classifiers as a matrix [V, L]."""
    none = np.empty(0, dtype=np.int64)
    columns = np.repeat(np.array(labels, dtype=np.int64), [len(own) for own in words])
    weights = np.concatenate([none.astype(np.float32), *values])
    return sp.csr_matrix((weights, (np.concatenate([none, *words]), columns)), shape=shape)
