"""A label index that ranks with classifiers of words, the vote of training queries, and shared words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.cli.main import main
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError, DataError
from xmc.prediction.label_source import find_calibration
from xmc.prediction.predict import predict_blocks
from xmc.prediction.queries import Query
from xmc.retrieval import LabelIndex
from xmc.retrieval.ensemble_options import EnsembleOptions, VoteOptions
from xmc.retrieval.fusion import weighted_fusion
from xmc.retrieval.generations import current_generation
from xmc.retrieval.manifest import IndexManifest
from xmc.retrieval.vote import QueryVotes, voted
from xmc.retrieval.words.classifiers import WordClassifiers, with_classifiers
from xmc.retrieval.words.features import WordFeatures, word_keys

LABELS = ["1 0 0", "0 1 0", "0 0 1", "3 4 0"]
VOTE = VoteOptions(0.6, 0.1)


@pytest.fixture
def votes() -> QueryVotes:
    """Queries near the first label, which have the third; and one near the second, which has the fourth."""
    vectors = np.array([[1, 0.1, 0], [1, 0, 0.1], [0, 1, 0]], dtype=np.float32)
    return QueryVotes(vectors, sp.csr_matrix(np.array([[0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]])))


@pytest.fixture
def classifiers() -> WordClassifiers:
    """For the second label where a text has the word 1, for the first where it has 4; none of the third."""
    features, vectors = WordFeatures.learned(["1 0 0", "3 4 0"], least=1)
    weights = np.zeros((vectors.shape[1], 4), dtype=np.float32)
    weights[features.keys == word_keys(["1"])[0], 1] = 3
    weights[features.keys == word_keys(["4"])[0], 0] = 3
    return WordClassifiers(features, sp.csr_matrix(weights), np.array([0, 0, np.nan, -1], dtype=np.float32))


@pytest.fixture
def index(make_encoder: Callable[..., DualEncoder]) -> LabelIndex:
    return LabelIndex.build(make_encoder(), LABELS, uids=list("abcd"), progress=False)


def test_votes_change_the_ranking(index: LabelIndex, votes: QueryVotes) -> None:
    plain = index.search(["1 0 0"], 4)
    index.add_ensemble(EnsembleOptions(VOTE), votes)
    ids, scores = index.search(["1 0 0"], 4)
    expected = voted(plain, votes.nearest(np.array([[1.0, 0, 0]])), votes.relevance, VOTE, 4)
    np.testing.assert_array_equal(ids, expected[0])
    np.testing.assert_allclose(scores, expected[1], rtol=1e-6)
    assert ids[0, 0] == 2 and index.search("1 0 0", 1)[0].tolist() == [2]
    index.add_ensemble(EnsembleOptions())
    assert index.manifest.ensemble is None
    np.testing.assert_array_equal(index.search(["1 0 0"], 4)[0], plain[0])


@pytest.mark.parametrize("k", ["3", 2.0, True, 0, None])
def test_k_is_a_whole_number(index: LabelIndex, votes: QueryVotes, k: Any) -> None:
    index.add_ensemble(EnsembleOptions(VOTE), votes)
    for search in (index.search, index.hits):
        with pytest.raises(ConfigError, match="expected k to be at least 1 and whole, got"):
            search("1 0 0", k=k)


def test_an_index_keeps_its_ensemble(
    index: LabelIndex,
    votes: QueryVotes,
    classifiers: WordClassifiers,
    tmp_path: Path,
    make_encoder: Callable[..., DualEncoder],
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = EnsembleOptions(VOTE, 0.2, 0.3)
    index.add_ensemble(options, votes, classifiers)
    texts = ["1 0 0", "0 3 4", "2 2 2"]
    before = index.search(texts, 4)
    index.save(tmp_path / "index")
    loaded = LabelIndex.load(tmp_path / "index", make_encoder())
    assert loaded.manifest.ensemble == options
    for one, other in zip(before, loaded.search(texts, 4), strict=True):
        np.testing.assert_array_equal(one, other)
    assert main(["index", "info", str(tmp_path / "index")]) == 0
    told = "beside           vote of training queries 0.6, temperature 0.1; lexical 0.2; classifiers of words"
    assert f"{told} 0.3\n" in capsys.readouterr().out
    block = next(predict_blocks(loaded, [Query("q", "1 0 0"), Query("r", " ")], 4))
    np.testing.assert_array_equal(block[0].ids, before[0][0])
    assert block[1].count == 0 and find_calibration(loaded) is None


def test_words_are_added_with_their_share(index: LabelIndex) -> None:
    from xmc.retrieval import LexicalRanker

    texts = ["3 3 3", "1 0 0"]
    plain = index.search(texts, 4)
    index.add_ensemble(EnsembleOptions(lexical=0.9))
    ids, scores = index.search(texts, 4)
    expected = weighted_fusion([plain, LexicalRanker(LABELS).rank(texts, 4)], [0.1, 0.9], 4)
    np.testing.assert_array_equal(ids, expected[0])
    np.testing.assert_allclose(scores, expected[1], rtol=1e-6)
    assert ids[0, 0] == 3


def test_classifiers_come_first_and_leave_labels_added_later_their_place(
    index: LabelIndex, votes: QueryVotes, classifiers: WordClassifiers
) -> None:
    texts = ["1 0 0", "3 4 0"]
    plain = index.search(texts, 4)
    expected = with_classifiers(plain, classifiers.scores(texts, plain[0]), 0.4, 4)
    index.add_ensemble(EnsembleOptions(classifiers=0.4), None, classifiers)
    found = index.search(texts, 4)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-6)
    assert not np.array_equal(found[0], plain[0])
    index.add_ensemble(EnsembleOptions(VOTE, classifiers=0.4), votes, classifiers)
    vectors = index.query_encoder.encode_queries(texts)
    both = voted(expected, votes.nearest(vectors), votes.relevance, VOTE, 4)
    np.testing.assert_array_equal(index.search(texts, 4)[0], both[0])
    index.add_ensemble(EnsembleOptions(classifiers=0.9), None, classifiers)
    index.add(["1 0 0"], ["e"])
    ids, scores = index.search("1 0 0", 5)
    # Of own scores from 0 to 3 it has 1: the share of the classifiers leaves it that.
    assert scores[ids.tolist().index(4)] == pytest.approx(1 / 3)


def test_a_removed_label_is_never_found(
    index: LabelIndex, votes: QueryVotes, classifiers: WordClassifiers, tmp_path: Path
) -> None:
    index.add_ensemble(EnsembleOptions(VOTE, 0.3, 0.3), votes, classifiers)
    assert 2 in index.search("1 0 0", 4)[0] and 3 in index.search("3 4 0", 4)[0]
    index.remove(["c", "d"])
    index.add(["1 1 1"], ["e"])
    for text in ("1 0 0", "3 4 0", "0 0 1"):
        found = index.search(text, 6)[0].tolist()
        assert sorted(label for label in found if label >= 0) == [0, 1, 4]
    index.save(tmp_path / "index")
    loaded = LabelIndex.load(tmp_path / "index", index.encoder)
    assert loaded.search("1 0 0", 6)[0].tolist() == index.search("1 0 0", 6)[0].tolist()


@pytest.mark.parametrize("removed", [[], ["a"]])
def test_another_kind_of_an_index_ranks_with_the_same(
    index: LabelIndex, votes: QueryVotes, classifiers: WordClassifiers, removed: list[str]
) -> None:
    # Where words are counted, the empty text of a removed label is one, until the index is made again.
    index.add_ensemble(EnsembleOptions(VOTE, 0.0 if removed else 0.3, 0.3), votes, classifiers)
    if removed:
        index.remove(removed)
    index.add(["1 1 1"], ["e"])
    other = LabelIndex.merge([index], kind="hnsw", progress=False)
    assert other.manifest.ensemble == index.manifest.ensemble and other.manifest.kind == "hnsw"
    assert index.manifest.ensemble is not None and len(other) == len(index) == 5 - len(removed)
    for text in ("1 0 0", "3 4 0", "0 0 1", "1 1 1"):
        expected, found = index.hits(text, 4), other.hits(text, 4)
        assert [hit.uid for hit in found] == [hit.uid for hit in expected]
        np.testing.assert_allclose([hit.score for hit in found], [hit.score for hit in expected], rtol=1e-6)


def test_another_kind_of_an_index_may_have_no_label_left_that_its_classifiers_know(
    index: LabelIndex, votes: QueryVotes, classifiers: WordClassifiers, tmp_path: Path
) -> None:
    index.add_ensemble(EnsembleOptions(VOTE, 0.3, 0.3), votes, classifiers)
    index.add(["1 1 1", "0 0 2"], ["e", "f"])
    index.remove(list("abcd"))
    other = LabelIndex.merge([index], kind="exact", progress=False)
    other.save(tmp_path / "other")
    for one in (other, LabelIndex.load(tmp_path / "other", index.encoder)):
        assert {hit.uid for hit in one.hits("1 0 0", 2)} == {"e", "f"}


def test_an_index_of_before_words_were_kept_counts_them(
    index: LabelIndex, tmp_path: Path, make_encoder: Callable[..., DualEncoder]
) -> None:
    index.add_ensemble(EnsembleOptions(lexical=0.9))
    index.save(tmp_path / "index")
    expected = index.search(["1 0 0", "4 3 0"], 4)
    folder = tmp_path / "index" / current_generation(tmp_path / "index")
    manifest = IndexManifest.read(folder)
    kept = {name: value for name, value in manifest.checksums.items() if not name.startswith("word")}
    assert len(kept) == len(manifest.checksums) - 3
    replace(manifest, checksums=kept).write(folder)
    for name in manifest.checksums.keys() - kept.keys():
        (folder / name).unlink()
    found = LabelIndex.load(tmp_path / "index", make_encoder()).search(["1 0 0", "4 3 0"], 4)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def test_what_does_not_fit_is_refused(
    index: LabelIndex, votes: QueryVotes, tmp_path: Path, make_encoder: Callable[..., DualEncoder]
) -> None:
    with pytest.raises(ConfigError, match="embeddings of 3 numbers of the queries that vote, got 2"):
        index.add_ensemble(EnsembleOptions(VOTE), QueryVotes(np.eye(2), sp.csr_matrix((2, 4))))
    with pytest.raises(ConfigError, match="expected the embeddings of training queries for a vote"):
        index.add_ensemble(EnsembleOptions(VOTE))
    with pytest.raises(ConfigError, match="lexical: expected a share"):
        EnsembleOptions(lexical=1.0)
    with pytest.raises(
        ConfigError, match="classifiers: expected a share of at least 0 and below 1, got -0.1"
    ):
        EnsembleOptions(classifiers=-0.1)
    with pytest.raises(ConfigError, match="expected classifiers for their share of 0.2, got none"):
        index.add_ensemble(EnsembleOptions(classifiers=0.2))
    index.add_ensemble(EnsembleOptions(VOTE), votes)
    index.save(tmp_path / "index")
    with pytest.raises(
        ConfigError, match="rank by the model alone.*ranks also with vote of training queries 0.6"
    ):
        LabelIndex.merge([index, index])
    queries = tmp_path / "index" / current_generation(tmp_path / "index") / "queries.npy"
    np.save(queries, np.zeros((3, 3), dtype=np.float32))
    with pytest.raises(DataError, match="queries.npy is damaged or was replaced"):
        LabelIndex.load(tmp_path / "index", make_encoder())
    queries.unlink()
    with pytest.raises(DataError, match="lacks its file queries.npy"):
        LabelIndex.load(tmp_path / "index", make_encoder())
