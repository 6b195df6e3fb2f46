"""Classifiers of words: what they say, how it is fused, and the files that keep them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.errors import DataError
from xmc.retrieval.words import classifiers as module
from xmc.retrieval.words.classifiers import FILES, WordClassifiers, with_classifiers
from xmc.retrieval.words.features import WordFeatures

TEXTS = ["red bird", "blue sea bird", "red sea", "nothing known"]


@pytest.fixture
def made() -> WordClassifiers:
    """Of five labels, the fourth without one."""
    features, vectors = WordFeatures.learned(TEXTS[:3], least=1)
    weights = np.random.default_rng(0).normal(size=(vectors.shape[1], 5)).astype(np.float32)
    weights[np.abs(weights) < 0.5] = 0
    weights[:, 3] = 0
    biases = np.array([0.1, -1, 0, np.nan, 2], dtype=np.float32)
    return WordClassifiers(features, sp.csr_matrix(weights), biases)


@pytest.mark.parametrize("at_once", [1, 32_000_000], ids=["a row at a time", "all rows"])
def test_scores_are_products_and_biases(
    made: WordClassifiers, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_SCORES", at_once)
    weights = made.words.scipy()
    every = made.features.vectors(TEXTS).scipy().toarray() @ weights.toarray() + made.biases
    ids = np.array([[4, 0, 3, -1], [1, 2, 7, 0], [0, 1, 2, 4], [2, 0, -1, -1]])
    found = made.scores(TEXTS, ids)
    known = (ids >= 0) & (ids < 5) & (ids != 3)
    np.testing.assert_array_equal(np.isnan(found), ~known)
    expected = np.take_along_axis(every, np.where(known, ids, 0), axis=1)
    np.testing.assert_allclose(found[known], expected[known], atol=1e-6)
    assert found[3, 0] == 0 and found[3, 1] == np.float32(0.1)  # no word counts: the biases alone
    assert made.scores([], np.empty((0, 3), dtype=np.int64)).shape == (0, 3)


def test_labels_are_ordered_by_both_and_one_without_a_classifier_by_its_own() -> None:
    ids = np.array([[5, 6, 7, 8, -1]])
    own = np.array([[1.0, 0.5, 0.25, 0.0, -np.inf]])
    said = np.array([[-1.0, np.nan, 3.0, 1.0, np.nan]])
    found, sums = with_classifiers((ids, own), said, 0.4, 5)
    # Own scores 1, .5, .25, 0; classifiers' 0, -, 1, .5.
    expected = {5: 0.6, 6: 0.5, 7: 0.6 * 0.25 + 0.4, 8: 0.2}
    assert found.tolist() == [[5, 7, 6, 8, -1]]
    np.testing.assert_allclose(sums[0, :4], [expected[label] for label in found[0, :4]])
    assert sums[0, 4] == -np.inf
    assert with_classifiers((ids, own), said, 0.0, 2)[0].tolist() == [[5, 6]]


@pytest.mark.parametrize("said", [[np.nan] * 3, [np.nan, 2.0, np.nan], [1.0, 1.0, np.nan]])
def test_classifiers_that_tell_no_labels_apart_change_nothing(said: list[float]) -> None:
    ids, own = np.array([[2, 0, 1]]), np.array([[3.0, 2.0, 1.0]])
    found, sums = with_classifiers((ids, own), np.array([said]), 0.9, 3)
    assert found.tolist() == [[2, 0, 1]]
    np.testing.assert_allclose(sums, [[1.0, 0.5, 0.0]])


def test_they_are_kept(made: WordClassifiers, tmp_path: Path) -> None:
    assert made.write(tmp_path) == FILES
    read = WordClassifiers.read(tmp_path)
    ids = np.tile(np.arange(5), (len(TEXTS), 1))
    np.testing.assert_array_equal(read.scores(TEXTS, ids), made.scores(TEXTS, ids))
    assert isinstance(read.words.data, np.memmap)


def test_files_that_do_not_fit_are_refused(made: WordClassifiers, tmp_path: Path) -> None:
    def broken(name: str, array: np.ndarray) -> None:
        made.write(tmp_path)
        np.save(tmp_path / name, array)

    broken("classifier_words.npy", np.zeros(2, dtype=np.uint64))
    with pytest.raises(DataError, match="its classifiers do not fit each other"):
        WordClassifiers.read(tmp_path)
    broken("classifier_starts.npy", made.words.indptr[::-1].astype(np.int64))
    with pytest.raises(DataError, match="its classifiers do not fit each other"):
        WordClassifiers.read(tmp_path)
    broken("classifier_starts.npy", np.empty(0, dtype=np.int64))
    with pytest.raises(DataError, match="its classifiers do not fit each other"):
        WordClassifiers.read(tmp_path)
    broken("classifier_biases.npy", np.zeros((5, 1), dtype=np.float32))
    with pytest.raises(DataError, match="expected float32"):
        WordClassifiers.read(tmp_path)
    broken("classifier_labels.npy", np.full(len(made.words.indices), 9, dtype=np.int32))
    with pytest.raises(DataError, match="expected label ids from 0 and below 5, got 9"):
        WordClassifiers.read(tmp_path).scores(TEXTS, np.zeros((4, 1), dtype=np.int64))
    broken("classifier_labels.npy", np.full(len(made.words.indices), -2, dtype=np.int32))
    with pytest.raises(DataError, match="expected label ids from 0 and below 5, got -2"):
        WordClassifiers.read(tmp_path).scores(TEXTS, np.zeros((4, 1), dtype=np.int64))
    (tmp_path / "classifier_weights.npy").unlink()
    with pytest.raises(DataError, match="classifier_weights.npy"):
        WordClassifiers.read(tmp_path)
