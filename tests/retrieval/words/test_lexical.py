"""The lexical ranker against a stable sort of the whole row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from xmc.errors import DataError
from xmc.retrieval import LexicalRanker
from xmc.retrieval.words.lexical import FILES
from xmc.retrieval.words.ranker import best_of_rows

LABELS = ["red bird", "bird", "blue bird", "", "blue sea", "bird", "red"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_the_best_are_those_of_a_stable_sort(seed: int, k: int) -> None:
    scores = np.random.default_rng(seed).integers(0, 4, (5, 9)).astype(np.float32)
    rows, columns, ranks = best_of_rows(scores, k)
    found = np.full((5, k), -1)
    found[rows, ranks] = columns
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    expected = np.where(np.take_along_axis(scores, order, axis=1) > 0, order, -1)
    np.testing.assert_array_equal(found[:, : expected.shape[1]], expected)
    assert (found[:, expected.shape[1] :] == -1).all()


def test_ties_go_by_label_id_and_what_is_excluded_or_shares_no_word_is_not_ranked() -> None:
    exclude = sp.csr_matrix(([1.0], ([0], [1])), shape=(2, len(LABELS)))
    ids, scores = LexicalRanker(LABELS).rank(["bird", "nothing"], 6, exclude)
    assert ids[0].tolist() == [5, 0, 2, -1, -1, -1] and scores[0, 0] > scores[0, 1]
    assert (ids[1] == -1).all() and np.isneginf(scores[1]).all()


def test_scores_are_those_of_scikit_learn() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = ["Blue, blue BIRD sea", "", "it's a bird_x red-red RED ÄÖ", "ß SS 3.5", "äö sea sea sea sea"]
    labels = [*LABELS, "ÄÖ 3 5", "ß it s a"]
    vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, token_pattern=r"(?u)\b\w+\b")
    expected = vectorizer.fit_transform(labels)
    scores = LexicalRanker(labels).scores(texts)
    np.testing.assert_allclose(scores, (vectorizer.transform(texts) @ expected.T).toarray(), atol=1e-6)
    assert LexicalRanker(labels).scores([]).shape == (0, len(labels))


@pytest.mark.parametrize("labels", [LABELS, ["", " "]])
def test_words_are_kept(labels: list[str], tmp_path: Path) -> None:
    ranker = LexicalRanker(labels)
    assert ranker.write(tmp_path) == FILES
    texts = ["blue bird", "red"]
    np.testing.assert_array_equal(LexicalRanker.read(tmp_path).scores(texts), ranker.scores(texts))


@pytest.mark.parametrize("place", range(3))
def test_words_that_do_not_fit_are_refused(place: int, tmp_path: Path) -> None:
    LexicalRanker(LABELS).write(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    LexicalRanker([*LABELS, "green"]).write(other)
    (other / FILES[place]).replace(tmp_path / FILES[place])
    with pytest.raises(DataError, match="build the index again"):
        LexicalRanker.read(tmp_path)
    (tmp_path / FILES[place]).write_bytes(b"nothing")
    with pytest.raises(DataError, match=FILES[place]):
        LexicalRanker.read(tmp_path)
