"""Classifiers of labels on words, learned from what a model takes for a row's labels and what they are.

The negatives of a label are rows that the model gives it to and that do not have it, and some drawn ones:
Yu et al., "PECOS: Prediction for Enormous and Correlated Output Spaces", JMLR 2022, section 4.2
(matcher-aware negatives). Each classifier is scikit-learn's ``LinearSVC`` (liblinear; Fan et al., JMLR 2008).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.errors import ConfigError
from xmc.progress import Bar
from xmc.random_streams import Stream, generator
from xmc.retrieval.words.classifiers import WordClassifiers
from xmc.retrieval.words.features import WordFeatures

__all__ = ["CONFUSED", "expected_seconds", "learn_classifiers", "taught"]

CONFUSED = 30
"""The labels of a row that a model ranks first: where they are wrong, the row is a negative of theirs."""

PENALTY = 3.0
"""Of the squared hinge; what weighs less than the norm of the weights is not fitted."""

DRAWN = 20
"""Rows drawn as negatives of each label beside those."""

LEAST_ROWS = 2
"""Rows that a label with a classifier has: of one alone its words are learned by heart."""

MOST_ROWS = 20_000
"""Positives of a classifier at most, and negatives."""

LEAST_WEIGHT = 0.1
"""Weights nearer to 0 are left out: three quarters of them, which no metric notices."""

_STOP = 0.1
_ROUNDS = 50
_SAMPLE = 500
_TIMES = 10
_TOLD = 64
"""Labels after which the time is looked at again."""


def taught(relevance: sp.csr_matrix) -> NDArray[np.int64]:
    """The labels that have enough rows [N, L] for a classifier."""
    rows = np.bincount(relevance.indices[relevance.data > 0], minlength=relevance.shape[1])
    return np.flatnonzero((rows >= LEAST_ROWS) & (rows < relevance.shape[0]))


def expected_seconds(texts: Sequence[str], relevance: sp.csr_matrix) -> float:
    """What learning the words of texts [N] and the classifiers of relevance [N, L] will take, about.

    Told by the first texts and two classifiers of them; right within a factor of two.
    """
    labels = len(taught(relevance))
    sample = texts[: min(len(texts), _SAMPLE)]
    if labels == 0 or len(sample) < 4:
        return 0.0
    vectors = WordFeatures.learned(sample, least=1)[1]
    if not vectors.shape[1]:
        return 0.0
    each_text = _least_seconds(lambda: WordFeatures.learned(sample, least=1)) / len(sample)
    few = max(4, len(sample) // 25)
    long, short = (_seconds_of_one(vectors[:count]) for count in (len(sample), few))
    each_row = max(0.0, long - short) / max(1, len(sample) - few)
    confused = len(texts) * min(CONFUSED, relevance.shape[1]) / labels
    rows = min(relevance.nnz, labels * MOST_ROWS) + labels * (DRAWN + min(confused, MOST_ROWS))
    return each_text * len(texts) + labels * short + each_row * rows


def _seconds_of_one(vectors: sp.csr_matrix) -> float:
    """Of a label that texts have which have a certain word, as nearly as there is a quarter of them."""
    texts, words = vectors.shape
    having = np.bincount(vectors.indices, minlength=words)
    word = int(np.argmin(np.abs(having - texts / 4)))
    positive = np.isin(np.arange(texts), vectors.tocsc()[:, word].indices)
    if positive.all() or not positive.any():
        positive[0] = not positive[0]
    return _least_seconds(lambda: _classifier(vectors, positive, 0))


def _least_seconds(work: Callable[[], object]) -> float:
    """Of a few times, as what else the machine does only adds to it."""
    found = []
    for _ in range(_TIMES):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return min(found)


def learn_classifiers(
    features: WordFeatures,
    vectors: sp.csr_matrix,
    relevance: sp.csr_matrix,
    confused: NDArray[np.integer],
    *,
    apart: sp.csr_matrix | None = None,
    seed: int = 0,
    seconds: float = np.inf,
    progress: bool = False,
) -> WordClassifiers | None:
    """A classifier of every label that has enough rows; None where that would take too long.

    Args:
        features: The words that count.
        vectors: [N, V], the rows' texts by them.
        relevance: [N, L].
        confused: Label ids [N, K] that a model gives each row, right or wrong; -1 pads.
        apart: [N, L], pairs that are neither right nor wrong; or None.
        seed: Of the drawn rows, and of the order in which labels and rows come.
        seconds: What learning may take, told by the first labels.
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
    started = time.perf_counter()
    rows = _RowsOfLabels(relevance, confused, apart)
    with Bar(len(labels), "classifiers of words", "label", shown=progress) as bar:
        for count, label in enumerate(labels.tolist()):
            used = time.perf_counter() - started
            if count and count % _TOLD == 0 and used / count * len(labels) > seconds:
                return None
            bar.update(1)
            chosen, positive = rows.of(label, draw)
            if positive.all():
                continue
            places, weights, bias = _classifier(vectors[chosen], positive, seed)
            biases[label] = bias
            words.append(places)
            values.append(weights)
            learned.append(label)
    return WordClassifiers(features, _by_word(words, values, learned, (vectors.shape[1], num_labels)), biases)


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

    def of(self, label: int, draw: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Rows [n], ascending, and whether each has the label."""
        positives = _column(self._positive, label)
        others = [_column(self._confused, label), draw.integers(0, self._num_rows, DRAWN)]
        negatives = np.setdiff1d(np.concatenate(others), positives)
        if self._apart is not None:
            negatives = np.setdiff1d(negatives, _column(self._apart, label))
        kept = [_some(positives, draw), _some(negatives, draw)]
        rows = np.sort(np.concatenate(kept))
        return rows, np.isin(rows, kept[0])


def _column(matrix: sp.csc_matrix, label: int) -> NDArray[np.int64]:
    return matrix.indices[matrix.indptr[label] : matrix.indptr[label + 1]].astype(np.int64)


def _some(rows: NDArray[np.int64], draw: np.random.Generator) -> NDArray[np.int64]:
    return rows if len(rows) <= MOST_ROWS else draw.choice(rows, MOST_ROWS, replace=False)


def _classifier(
    vectors: sp.csr_matrix, positive: NDArray[np.bool_], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.float32], float]:
    """Words, their weights and the bias; of the rows' own words alone, as others' weights would stay 0."""
    try:
        import sklearn
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise ConfigError("classifiers of words need scikit-learn: pip install scikit-learn") from error
    used, places = np.unique(vectors.indices, return_inverse=True)
    own = sp.csr_matrix(
        (vectors.data.astype(np.float64), places.astype(np.int32), vectors.indptr.astype(np.int32)),
        shape=(len(positive), max(1, len(used))),
    )
    machine = LinearSVC(
        C=PENALTY, dual=True, tol=_STOP, max_iter=_ROUNDS, random_state=seed % 2**32, fit_intercept=True
    )
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # so many rounds are meant
            machine.fit(own, positive)
    weights = machine.coef_[0][: len(used)].astype(np.float32)
    kept = np.abs(weights) >= LEAST_WEIGHT
    return used[kept], weights[kept], float(machine.intercept_[0])


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
