"""The lexical ranker against a stable sort of the whole row."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from xmc.retrieval import LexicalRanker
from xmc.retrieval.word_ranker import best_of_rows

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
