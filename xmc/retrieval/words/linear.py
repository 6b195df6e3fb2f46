"""One linear classifier on words: scikit-learn's ``LinearSVC`` (liblinear; Fan et al., JMLR 2008).

What processes that learn classifiers beside each other import.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.errors import ConfigError

__all__ = ["LEAST_WEIGHT", "PENALTY", "Classifier", "Lesson", "classifiers_of", "fitted", "import_learner"]

PENALTY = 3.0
"""Of the squared hinge; what weighs less than the norm of the weights is not fitted."""

LEAST_WEIGHT = 0.1
"""Weights nearer to 0 are left out: three quarters of them, which no metric notices."""

_STOP = 0.1
_ROUNDS = 50


def import_learner() -> None:
    """Import scikit-learn's classifiers, which takes seconds the first time.

    Raises:
        ConfigError: When scikit-learn is not installed.
    """
    try:
        import sklearn.svm  # noqa: F401
    except ImportError as error:
        raise ConfigError("classifiers of words need scikit-learn: pip install scikit-learn") from error


class Classifier(NamedTuple):
    """Words [n], their weights and the bias."""

    words: NDArray[np.int64]
    weights: NDArray[np.float32]
    bias: float


class Lesson(NamedTuple):
    """Rows [n] that a label is learned from, and whether each has it."""

    rows: NDArray[np.int64]
    positive: NDArray[np.bool_]


def classifiers_of(vectors: sp.csr_matrix, lessons: Sequence[Lesson], seed: int) -> list[Classifier | None]:
    """Those of some labels; None of one that all its rows have.

    Args:
        vectors: [N, V], the texts of all rows by words.
        lessons: Of each label.
        seed: Of the order in which liblinear takes rows.
    """
    return [
        None if lesson.positive.all() else fitted(vectors[lesson.rows], lesson.positive, seed)
        for lesson in lessons
    ]


def fitted(vectors: sp.csr_matrix, positive: NDArray[np.bool_], seed: int) -> Classifier:
    """Of rows [n, V], and of their own words alone, as the weights of others would stay 0.

    Raises:
        ConfigError: As :func:`import_learner`.
    """
    import_learner()
    import sklearn
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

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
    return Classifier(used[kept].astype(np.int64), weights[kept], float(machine.intercept_[0]))
