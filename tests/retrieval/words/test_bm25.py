"""BM25 against its formula, and the order and exclusions that every ranker has."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.errors import ConfigError
from xmc.retrieval import BM25Ranker

pytest.importorskip("bm25s")
LABELS = ["red bird", "bird", "Blue bird, bird", "", "blue sea", "bird", "red"]


def bm25(query: str, label: list[str], corpus: list[list[str]], k1: float, b: float) -> float:
    """Lucene's form: log(1 + (N - n + 0.5) / (n + 0.5)) * f / (f + k1 * (1 - b + b * length / mean))."""
    mean, counts, total = sum(map(len, corpus)) / len(corpus), Counter(label), 0.0
    for word in query.split():
        n = sum(word in other for other in corpus)
        if counts[word]:
            idf = math.log(1 + (len(corpus) - n + 0.5) / (n + 0.5))
            total += idf * counts[word] / (counts[word] + k1 * (1 - b + b * len(label) / mean))
    return total


@pytest.mark.parametrize(("k1", "b"), [(1.5, 0.75), (0.9, 0.0)])
def test_scores_are_those_of_the_formula(k1: float, b: float) -> None:
    corpus = [label.lower().replace(",", "").split() for label in LABELS]
    ids, scores = BM25Ranker(LABELS, k1=k1, b=b).rank(["blue bird bird", "red sea unknown"], 7)
    for row, query in enumerate(("blue bird bird", "red sea")):
        expected = np.array([bm25(query, label, corpus, k1, b) for label in corpus])
        order = [label for label in np.argsort(-expected, kind="stable").tolist() if expected[label] > 0]
        assert ids[row][ids[row] >= 0].tolist() == order
        np.testing.assert_allclose(scores[row][: len(order)], expected[order], rtol=1e-5)


def test_ties_go_by_label_id_and_what_is_excluded_or_shares_no_word_is_not_ranked() -> None:
    exclude = sp.csr_matrix(([1.0], ([0], [1])), shape=(2, len(LABELS)))
    ids, scores = BM25Ranker(LABELS).rank(["bird", "nothing"], 6, exclude)
    assert set(ids[0].tolist()) == {5, 0, 2, -1} and ids[0, 3:].tolist() == [-1] * 3
    assert (ids[1] == -1).all() and np.isneginf(scores[1]).all()
    plain = BM25Ranker(LABELS).rank(["bird"], 3)[0][0].tolist()
    assert plain.index(1) + 1 == plain.index(5)
    assert (BM25Ranker(["", "."]).rank(["bird"], 2)[0] == -1).all()


def test_parameters_that_cannot_be() -> None:
    for given in ({"k1": -1.0}, {"b": 1.5}, {"k1": float("nan")}):
        with pytest.raises(ConfigError, match="BM25: expected k1"):
            BM25Ranker(LABELS, **given)
