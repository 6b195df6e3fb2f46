from __future__ import annotations

import sys

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.errors import ConfigError, ModelError
from xmc.evaluation.vote_choice import choose_vote
from xmc.evaluation.weights import measure_by
from xmc.retrieval.ensemble_options import VoteOptions
from xmc.retrieval.vote import QueryVotes, voted


@pytest.fixture
def parts() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray], sp.csr_matrix]:
    """Six queries with their labels of 12 and training queries of 20, some lists shorter than others."""
    generator = np.random.default_rng(0)

    def lists(width: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        ids = np.stack([generator.permutation(count)[:width] for _ in range(6)])
        scores = np.sort(generator.uniform(-1, 1, (6, width)))[:, ::-1].copy()
        ids[0, 2:], scores[0, 2:] = -1, -np.inf
        return ids, scores

    relevance = sp.csr_matrix(generator.random((20, 12)) < 0.2).astype(np.float32) * 3
    return lists(5, 12), lists(7, 20), relevance


def plain(labels, queries, relevance, weight, temperature, exclude=None):  # type: ignore[no-untyped-def]
    """The formula, label by label."""
    rows = []
    for row in range(6):
        sums: dict[int, float] = {}
        for (ids, scores), share in ((labels, 1 - weight), (queries, weight)):
            kept = ids[row] >= 0
            odds = np.exp(scores[row][kept] / temperature)
            for one, value in zip(ids[row][kept].tolist(), odds / odds.sum(), strict=True):
                given = [one] if ids is labels[0] else np.flatnonzero(relevance[one].toarray()[0]).tolist()
                for label in given:
                    if exclude is None or not exclude[row, label]:
                        sums[label] = sums.get(label, 0.0) + share * value
        rows.append(sorted(sums.items(), key=lambda item: (-item[1], item[0])))
    return rows


@pytest.mark.parametrize("weight", [0.1, 1.0])
def test_sums_are_those_of_the_formula(parts, weight: float) -> None:  # type: ignore[no-untyped-def]
    labels, queries, relevance = parts
    exclude = sp.csr_matrix((6, 12), dtype=bool).tolil()
    for row in range(6):
        exclude[row, [label for label in range(12) if label not in labels[0][row]][:2]] = True
    exclude = sp.csr_matrix(exclude)
    ids, sums = voted(labels, queries, relevance, VoteOptions(weight, 0.3), 12, exclude=exclude)
    for row, expected in enumerate(plain(labels, queries, relevance, weight, 0.3, exclude)):
        kept = ids[row] >= 0
        assert kept.sum() == len(expected)
        np.testing.assert_allclose(sums[row][kept], [value for _, value in expected], rtol=1e-9, atol=1e-15)
        if weight < 1:
            assert ids[row][kept].tolist() == [label for label, _ in expected]


def test_a_stored_zero_is_no_label(parts) -> None:  # type: ignore[no-untyped-def]
    labels, queries, relevance = parts
    zeros = relevance.copy()
    zeros.data[::2] = 0
    plainly = zeros.copy()
    plainly.eliminate_zeros()
    found, expected = (voted(labels, queries, each, VoteOptions(1.0, 0.3), 12) for each in (zeros, plainly))
    np.testing.assert_array_equal(found[0], expected[0])


def test_weight_0_leaves_the_order(parts) -> None:  # type: ignore[no-untyped-def]
    labels, queries, relevance = parts
    np.testing.assert_array_equal(voted(labels, queries, relevance, VoteOptions(0, 0.1), 5)[0], labels[0])


def test_small_blocks_change_nothing(parts, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    whole = voted(*parts, VoteOptions(0.3, 0.1), 8)
    monkeypatch.setattr("xmc.retrieval.vote._BLOCK_ROWS", 4)
    for one, other in zip(whole, voted(*parts, VoteOptions(0.3, 0.1), 8), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_query_is_near_itself() -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    votes = QueryVotes(vectors * 7, sp.csr_matrix(np.eye(30)))
    rows = np.array([3, 17])
    alone, without = votes.nearest(vectors[rows]), votes.nearest(vectors[rows], own=rows)
    assert alone[0][:, 0].tolist() == [3, 17] and alone[1][:, 0] == pytest.approx(1)
    assert not (without[0] == rows[:, None]).any() and (without[0] >= 0).sum() == 2 * 29


def test_votes_that_help_are_chosen_and_others_not() -> None:
    """What labels are wrong in the nearest queries know, or the other way round."""
    truth = sp.csr_matrix(np.eye(8))
    labels = (
        np.stack([(np.arange(8) + row + 1) % 8 for row in range(8)]),
        np.tile(np.arange(1, 0, -0.125), (8, 1)),
    )
    queries = (np.arange(8)[:, None], np.ones((8, 1)))
    measure = measure_by(truth, None, ["P@1"])
    chosen = choose_vote(labels, queries, truth, measure, "P@1", k=8)
    assert chosen.options is not None and chosen.metrics["P@1"] == 100.0 > chosen.alone["P@1"]
    right = (np.stack([(np.arange(8) + row) % 8 for row in range(8)]), labels[1])
    assert choose_vote(right, queries, truth[::-1], measure, "P@1", k=8).options is None
    barred = choose_vote(labels, queries, truth, measure, "P@1", exclude=truth, k=8)
    assert barred.options is None


def test_few_queries_have_the_neighbours_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of equal similarities too, and where fewer than a whole list are left."""
    generator = np.random.default_rng(0)
    for count in (400, 40):
        vectors = generator.integers(-1, 2, (count, 4)).astype(np.float32)
        votes = QueryVotes(vectors, sp.csr_matrix(np.eye(count)))
        rows = np.arange(0, count, 7)
        few = votes.nearest(vectors[rows], own=rows)
        with monkeypatch.context() as patched:
            patched.setattr("xmc.retrieval.vote._FEW_SCORES", 0)
            many = votes.nearest(vectors[rows], own=rows)
            patched.setattr("xmc.retrieval.vote._FEW_SCORES", 3 * count)
            patched.setattr("sys.modules", {name: of for name, of in sys.modules.items() if name != "torch"})
            blocks = votes.nearest(vectors[rows], own=rows)  # three at a time, where torch is not loaded
        np.testing.assert_array_equal(few[0], many[0])
        np.testing.assert_allclose(few[1], many[1], atol=1e-6)
        np.testing.assert_array_equal(blocks[0], few[0])
        np.testing.assert_allclose(blocks[1], few[1], atol=1e-6)
        assert [len(part) for part in votes.nearest(vectors[:0])] == [0, 0]
    with pytest.raises(ModelError, match="diverged"):
        votes.nearest(np.full((1, 4), np.nan, dtype=np.float32))


@pytest.mark.parametrize(
    ("weight", "temperature"), [(-0.1, 1), (1.1, 1), (0.5, 0), (0.5, np.inf), (np.nan, 1)]
)
def test_options_that_cannot_be(weight: float, temperature: float) -> None:
    with pytest.raises(ConfigError, match="vote: expected a"):
        VoteOptions(weight, temperature)


def test_embeddings_of_other_queries() -> None:
    with pytest.raises(ConfigError, match=r"embeddings of 3 training queries, got \[2, 4\]"):
        QueryVotes(np.zeros((2, 4)), sp.csr_matrix((3, 5)))
