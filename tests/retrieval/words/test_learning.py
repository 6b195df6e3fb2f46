"""Classifiers are scikit-learn's, learned from a label's rows and from those that are taken for its own."""

from __future__ import annotations

from pickle import PicklingError

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.errors import ConfigError
from xmc.retrieval.words import learning, linear
from xmc.retrieval.words.features import WordFeatures
from xmc.retrieval.words.learning import expected_seconds, learn_classifiers, taught
from xmc.retrieval.words.linear import Classifier

COLOURS, THINGS = ("red", "blue", "green"), ("bird", "sea", "stone", "leaf")
TEXTS = [f"{colour} {thing} of day {day}" for day in range(3) for colour in COLOURS for thing in THINGS]
# A label each for the colours, one for a colour and a thing together, one of a single row, one of all.
RELEVANCE = sp.csr_matrix(
    np.array(
        [
            [*(colour in text for colour in COLOURS), "green bird" in text, row == 5, True]
            for row, text in enumerate(TEXTS)
        ],
        dtype=np.float32,
    )
)
ALL = np.tile(np.arange(6), (len(TEXTS), 1))
"""As if a model could not tell any labels apart: every row without a label is a negative of it."""


def test_they_tell_rows_apart_and_say_nothing_of_labels_of_one_row_or_of_all() -> None:
    features, vectors = WordFeatures.learned(TEXTS)
    found = learn_classifiers(features, vectors, RELEVANCE, ALL)
    assert found is not None and taught(RELEVANCE).tolist() == [0, 1, 2, 3]
    assert np.isnan(found.biases).tolist() == [False] * 4 + [True] * 2
    said = found.scores(TEXTS, ALL)
    np.testing.assert_array_equal(said[:, :4] > 0, RELEVANCE.toarray()[:, :4] > 0)
    new = found.scores(["a green bird", "a green sea", "a bird in blue"], ALL[:3])
    assert (new[:, 2] > 0).tolist() == [True, True, False] and (new[:, 1] > 0).tolist() == [
        False,
        False,
        True,
    ]
    assert new[0, 3] > new[1, 3] and new[0, 3] > new[2, 3]


def test_a_classifier_is_that_of_scikit_learn_without_its_small_weights() -> None:
    from sklearn.svm import LinearSVC

    features, vectors = WordFeatures.learned(TEXTS)
    found = learn_classifiers(features, vectors, RELEVANCE, ALL)
    assert found is not None
    weights = found.words.scipy().toarray()
    for label in range(4):
        positive = RELEVANCE.toarray()[:, label] > 0
        expected = LinearSVC(C=3.0, dual=True, tol=1e-6, max_iter=100_000).fit(
            vectors.astype(float), positive
        )
        close = np.abs(expected.coef_[0] - weights[:, label])
        assert close.max() < 0.15  # a stop of 0.1, and weights below 0.1 left out
        assert found.biases[label] == pytest.approx(expected.intercept_[0], abs=0.05)
    assert (np.abs(found.words.data) >= 0.1).all()


def test_only_rows_that_are_taken_for_a_labels_own_and_drawn_ones_are_negatives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def classifier(vectors: sp.csr_matrix, positive: np.ndarray, seed: int) -> Classifier:
        seen.append((vectors.toarray()[:, 0], positive))
        return Classifier(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32), 0.0)

    monkeypatch.setattr(linear, "fitted", classifier)
    monkeypatch.setattr(learning, "DRAWN", 0)
    numbered = sp.csr_matrix(np.arange(1.0, 7.0)[:, None])
    relevance = sp.csr_matrix(np.array([[1], [1], [0], [0], [0], [0]]))
    confused = np.array([[0], [-1], [0], [-1], [0], [-1]])
    features = WordFeatures(np.zeros(1, dtype=np.uint64), np.ones(1, dtype=np.float32))
    learn_classifiers(features, numbered, relevance, confused)
    assert seen[0][0].tolist() == [1, 2, 3, 5] and seen[0][1].tolist() == [True, True, False, False]
    apart = sp.csr_matrix(np.array([[0], [0], [0], [0], [1], [0]]))
    learn_classifiers(features, numbered, relevance, confused, apart=apart)
    assert seen[1][0].tolist() == [1, 2, 3]
    monkeypatch.setattr(learning, "DRAWN", 200)
    learn_classifiers(features, numbered, relevance, confused, apart=apart)
    assert seen[2][0].tolist() == [1, 2, 3, 4, 6] and seen[2][1].tolist() == [True, True] + [False] * 3
    monkeypatch.setattr(learning, "MOST_ROWS", 1)
    learn_classifiers(features, numbered, relevance, confused)
    assert seen[3][1].sum() == 1 and len(seen[3][1]) == 2


def test_equal_seeds_give_equal_classifiers() -> None:
    features, vectors = WordFeatures.learned(TEXTS)
    some = np.where(np.random.default_rng(0).random(ALL.shape) < 0.3, ALL, -1)
    made = [learn_classifiers(features, vectors, RELEVANCE, some, seed=seed) for seed in (1, 1, 2)]
    first, again, other = [one.scores(TEXTS, ALL) for one in made if one is not None]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_time_is_told_beforehand_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    features, vectors = WordFeatures.learned(TEXTS)
    assert 0 < expected_seconds(TEXTS, RELEVANCE) < 60
    assert expected_seconds(TEXTS, sp.csr_matrix((len(TEXTS), 3))) == 0
    assert expected_seconds(["!?"] * len(TEXTS), RELEVANCE) == 0
    monkeypatch.setattr(learning, "_TOLD", 1)
    assert learn_classifiers(features, vectors, RELEVANCE, ALL, seconds=0.0) is None
    assert learn_classifiers(features, vectors, RELEVANCE, ALL, seconds=1000.0) is not None


def test_processes_learn_the_same_in_the_same_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features, vectors = WordFeatures.learned(TEXTS)
    some = np.where(np.random.default_rng(0).random(ALL.shape) < 0.3, ALL, -1)
    monkeypatch.setattr(learning, "_TOLD", 1)
    alone = learn_classifiers(features, vectors, RELEVANCE, some, processes=2)
    monkeypatch.setattr(learning, "_ALONE_SECONDS", 0.0)
    beside = learn_classifiers(features, vectors, RELEVANCE, some, processes=2)
    assert alone is not None and beside is not None
    for one, other in zip(alone.words, beside.words, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(alone.biases, beside.biases)


def test_one_process_goes_on_where_others_fail(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    features, vectors = WordFeatures.learned(TEXTS)
    some = np.where(np.random.default_rng(0).random(ALL.shape) < 0.3, ALL, -1)
    monkeypatch.setattr(learning, "_TOLD", 1)
    alone = learn_classifiers(features, vectors, RELEVANCE, some)
    monkeypatch.setattr(learning, "_ALONE_SECONDS", 0.0)

    def failing(vectors, lessons, seed, processes, waiting):  # type: ignore[no-untyped-def]
        waiting.extend(next(lessons) for _ in range(2))
        yield linear.classifiers_of(vectors, waiting[0], seed)
        raise PicklingError("no space left on device\nand more")

    monkeypatch.setattr(learning, "_beside", failing)
    beside = learn_classifiers(features, vectors, RELEVANCE, some, processes=2)
    assert alone is not None and beside is not None
    for one, other in zip(alone.words, beside.words, strict=True):
        np.testing.assert_array_equal(one, other)
    assert "(no space left on device): it goes on alone" in caplog.text


def test_processes_are_started_where_there_is_enough_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(learning.time, "perf_counter", lambda: now[0])
    clock = learning._Clock(1064, 4)
    now[0] = 1.0
    clock.count(64)  # a second each 64: 15.6 s are left
    assert clock.processes == 4 and not clock.is_done
    assert clock.expected == pytest.approx(1 + 15.625 / 3.2)
    now[0] = 4.0
    clock.count(64)  # starting is no measure of what labels take
    assert clock.expected == pytest.approx(4 + 936 / 64)
    now[0] = 10.0
    clock.count(436)
    assert clock.expected == pytest.approx(10 + 6 / 436 * 500)
    clock.count(500)
    assert clock.is_done
    short = learning._Clock(1000, 4)
    now[0] += 1.0
    short.count(64)
    assert short.processes == 1


def test_texts_without_words_teach_biases_alone() -> None:
    texts = ["!?"] * len(TEXTS)
    features, vectors = WordFeatures.learned(texts)
    found = learn_classifiers(features, vectors, RELEVANCE, ALL)
    assert found is not None
    np.testing.assert_array_equal(found.scores(["!?", "red"], ALL[:2]), np.tile(found.biases, (2, 1)))
    assert np.isfinite(found.biases[:4]).all()


def test_rows_that_differ_in_number_are_refused() -> None:
    features, vectors = WordFeatures.learned(TEXTS)
    with pytest.raises(ConfigError, match="as many texts and lists as rows of relevance, got 36, 2 and 36"):
        learn_classifiers(features, vectors, RELEVANCE, ALL[:2])
