from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.distributed.ranks import Ranks
from tests.retrieval.test_sharded import case, shard_of
from xmc.distributed import World
from xmc.errors import ModelError
from xmc.retrieval import LabelIndex, Ranker, exact_search, search_by

Lists = tuple[np.ndarray, np.ndarray]


def ranked(scores: np.ndarray, k: int) -> Lists:
    """The rule by a whole sort: score descending, then id ascending; -inf is no label."""
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, ids, 1)
    ids = np.where(best == -np.inf, -1, ids)
    short = ((0, 0), (0, max(0, k - ids.shape[1])))
    return np.pad(ids, short, constant_values=-1), np.pad(best, short, constant_values=-np.inf)


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 15), st.integers(0, 1000), st.sampled_from([0.0, 0.5]))
def test_the_largest_magnitudes_of_all(num_labels, k, seed, shift):
    random = np.random.default_rng(seed)
    # Few distinct numbers, so that magnitudes are equal often.
    queries, labels = (random.integers(-2, 3, (n, 2)).astype(np.float32) for n in (4, num_labels))
    ids, magnitudes = Ranker.of("magnitude", shift, None, num_labels).search(
        queries, labels, k, num_queries=4, num_labels=num_labels, world=World()
    )
    expected = ranked(np.abs(queries @ labels.T + shift), k)
    np.testing.assert_array_equal(ids, expected[0])
    np.testing.assert_allclose(magnitudes, expected[1])


def test_one_search_alone_would_not_do():
    queries, labels = np.array([[1.0]], np.float32), np.array([[0.5], [-2.0], [0.1]], np.float32)
    ids, magnitudes = search_by("magnitude", lambda sign: exact_search(sign * queries, labels, 1))
    assert ids.tolist() == [[1]] and magnitudes[0, 0] == pytest.approx(2.0)


def test_an_unknown_ranking_is_refused():
    with pytest.raises(ModelError, match="by score or magnitude, got 'size'"):
        search_by("size", lambda sign: pytest.fail("searched"))


def search_shard(data: dict[str, Any], ranking: str, k: int) -> Lists:
    return Ranker(ranking, data["offsets"]).search(k=k, **shard_of(data))


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("ranking", ["score", "magnitude"])
@pytest.mark.parametrize(("num_queries", "num_labels", "k"), [(7, 100, 9), (7, 50, 80), (2, 2, 3)])
def test_ranks_find_what_a_whole_sort_finds(
    ranks: Ranks, size: int, ranking: str, num_queries: int, num_labels: int, k: int
) -> None:
    data = case(num_queries, num_labels, ties=True, extras=True)
    scores = data["queries"] @ data["labels"].T + data["offsets"]
    scores = np.abs(scores) if ranking == "magnitude" else scores
    scores[data["exclude"].toarray()] = -np.inf
    expected = ranked(scores, k)
    answers = ranks.run(search_shard, data, ranking, k, size=size)
    np.testing.assert_array_equal(np.concatenate([ids for ids, _ in answers]), expected[0])
    np.testing.assert_array_equal(np.concatenate([values for _, values in answers]), expected[1])


@pytest.mark.parametrize(("ranking", "shift"), [("score", 0.0), ("magnitude", 0.0), ("magnitude", 0.5)])
def test_the_index_ranks_as_the_search_does(make_encoder, ranking, shift):
    encoder = make_encoder(offsets={"a": 1.0, "b": -1.0, "c": 0.0} if ranking == "score" else None)
    encoder.metadata = replace(encoder.metadata, ranking=ranking, ranking_shift=shift)
    texts, uids = ["1 0 0", "-3 0 0", "0 1 0"], ["a", "b", "c"]
    index = LabelIndex.build(encoder, texts, uids=uids, progress=False)
    queries = encoder.encode_queries(["1 0 0", "-1 1 0"])
    expected = Ranker.of_model(encoder, uids).search(
        queries, encoder.encode_labels(texts), 3, num_queries=2, num_labels=3, world=World()
    )
    ids, scores = index.search_vectors(queries, 3)
    np.testing.assert_array_equal(ids, expected[0])
    np.testing.assert_allclose(scores, expected[1])
