"""Runs of labels of several texts: which text a step draws, and that all of them are ranked by."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.fixtures.killed import train_until_killed
from tests.runs import losses
from xmc.cli.main import main
from xmc.data import Dataset, DatasetWriter
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError, ModelError
from xmc.evaluation import evaluate, rank_labels
from xmc.prediction.encoded import EncodedData
from xmc.prediction.ensembling import query_votes, rank_test
from xmc.retrieval import LabelIndex
from xmc.retrieval.ensemble import Ensemble
from xmc.retrieval.ensemble_options import EnsembleOptions, VoteOptions
from xmc.retrieval.vote import voted
from xmc.training import Trainer, train
from xmc.training.learned.label_texts import FirstTexts, LabelTextRows

NUM_WORDS = 40
DEPTH = 10
KINDS = pytest.mark.parametrize(
    ("texts", "fold"), [("lines", "max"), ("lines", "top2"), ("fields", "max"), ("fields", "top2")]
)


@pytest.fixture(scope="module")
def two_names(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """As `dataset`, but each label has a second name, which no query is trained on with the first.

    The last has one name alone.
    """
    generator = np.random.default_rng(0)
    with DatasetWriter(tmp_path_factory.mktemp("two") / "words", name="words") as writer:
        for word in range(NUM_WORDS):
            writer.add_label(f"l{word}", f"label{word}", content_of(word))
        for split, count in (("train", 60), ("test", 20)):
            for row in range(count):
                words = generator.choice(NUM_WORDS, 3, replace=False)
                text = " ".join(f"query{word}" for word in words)
                writer.add_row(split, f"{split}{row}", text, "", sorted(words.tolist()))
    return Dataset.load(writer.path)


def content_of(word: int) -> str:
    return "" if word == NUM_WORDS - 1 else f"query{word}\nlabel{word + 1}"


def names_of(word: int, texts: str) -> list[str]:
    """The texts of a label of `two_names`."""
    lines = content_of(word).splitlines()
    return [f"label{word}", *(lines if texts == "lines" or not lines else [" ".join(lines)])]


@pytest.fixture
def short(config, changed, two_names):
    return changed(
        config,
        data={"path": str(two_names.path), "label_texts": "lines"},
        training={"epochs": 2, "checkpoint_every": 3},
        validation={"rows": 10, "every": 4},
    )


def test_each_text_is_as_likely_and_every_rank_draws_alike():
    rows = LabelTextRows(np.array([0, 3, 4, 6]), seed=1)
    ids = np.array([0, 2, 1, 0])
    drawn = np.array([rows.of_batch(ids, batch) for batch in range(3000)])
    np.testing.assert_array_equal(drawn[7], rows.of_batch(ids, 7))
    assert (drawn[:, 2] == 3).all() and set(drawn[:, 1]) == {4, 5}
    shares = np.bincount(drawn[:, 0], minlength=3) / 3000
    np.testing.assert_allclose(shares, 1 / 3, atol=0.04)
    assert (drawn[:, 0] != drawn[:, 3]).any(), "a label twice has two draws"
    first = LabelTextRows(rows.bounds, seed=1, random=False)
    assert first.of_batch(ids, 7).tolist() == [0, 4, 3, 0]
    own, bounds = rows.all_of(1, 3)
    assert (own.tolist(), bounds.tolist()) == ([3, 4, 5], [0, 1, 3])


def scores_by_hand(model: DualEncoder, queries: np.ndarray, texts: str, fold: str) -> np.ndarray:
    """Scores [N, L] of query vectors [N, D]: every text of every label, one label after another."""
    columns = []
    for word in range(NUM_WORDS):
        own = names_of(word, texts)
        found = np.sort(queries @ model.encode_labels(own, uids=[f"l{word}"] * len(own)).T, axis=1)[:, ::-1]
        columns.append(found[:, : 1 if fold == "max" else 2].mean(1))
    return np.stack(columns, axis=1) + model.label_offsets.offsets / model.metadata.scale


def best_of(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ids and scores, both [N, 10], of the best."""
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]
    return ids, np.take_along_axis(scores, ids, axis=1)


def assert_ranked(found: tuple[np.ndarray, np.ndarray], expected: tuple[np.ndarray, np.ndarray]) -> None:
    np.testing.assert_array_equal(found[0][:, :DEPTH], expected[0])
    np.testing.assert_allclose(found[1][:, :DEPTH], expected[1], rtol=1e-4, atol=1e-6)


@KINDS
def test_a_run_is_ranked_by_all_texts_and_resumes(
    short, changed, two_names, tmp_path, monkeypatch, texts, fold
):
    short = changed(short, data={"label_texts": texts, "label_fold": fold})
    trainer = Trainer(short)
    result = trainer.fit()
    killed = changed(short, run={"dir": str(tmp_path / "killed")})

    train_until_killed(killed, 5, monkeypatch)
    again = train(changed(killed, run={"resume": True}))
    assert losses(short.run.dir) == losses(tmp_path / "killed")
    assert result.validation == again.validation
    last = DualEncoder.load(result.last_path)
    assert last.fingerprint == DualEncoder.load(again.last_path).fingerprint
    for path in (result.model_path, result.last_path):
        told = json.loads((path / "xmc.json").read_text(encoding="utf-8"))
        assert (told["label_texts"], told["label_fold"]) == (texts, fold)
    assert list(last.label_texts(two_names)) == ["\n".join(names_of(w, texts)) for w in range(NUM_WORDS)]
    with pytest.raises(ModelError, match="one text a label"):
        last.encode_labels(two_names)
    # The last validation is of the last model, and the metrics that are kept are of the best.
    rows = trainer.validation_rows
    truth = two_names.relevance("train")[rows].toarray() > 0
    by_last, by_best = (
        best_of(scores_by_hand(model, model.encode_queries(two_names, "train")[rows], texts, fold))
        for model in (last, DualEncoder.load(result.model_path))
    )
    assert_ranked(trainer.validator.ranking, by_last)
    hits = np.take_along_axis(truth, by_best[0], axis=1)
    assert result.validation["P@5"] == pytest.approx(100 * hits[:, :5].mean())


@KINDS
def test_what_serves_a_model_ranks_by_its_fold(short, changed, two_names, tmp_path, texts, fold):
    result = train(changed(short, data={"label_texts": texts, "label_fold": fold}))
    model = DualEncoder.load(result.model_path)
    queries = list(two_names.texts("test"))
    vectors = model.encode_queries(queries)
    scores = scores_by_hand(model, vectors, texts, fold)
    expected = best_of(scores)
    by_other, _ = best_of(scores_by_hand(model, vectors, texts, "max" if fold == "top2" else "top2"))
    assert (expected[0][:, 0] != by_other[:, 0]).any()

    assert_ranked(rank_labels(model, two_names, "test", DEPTH, progress=False), expected)
    hits = np.take_along_axis(two_names.relevance("test").toarray() > 0, expected[0], axis=1)
    measured = evaluate(model, two_names, progress=False).metrics
    for k in (1, 3, 5):
        assert measured[f"P@{k}"] == pytest.approx(100 * hits[:, :k].mean())

    index = LabelIndex.build(model, two_names, kind="exact", progress=False)
    assert index.num_vectors == sum(len(names_of(word, texts)) for word in range(NUM_WORDS))
    assert_ranked(index.search(queries, DEPTH), expected)
    asked, out = tmp_path / "queries.txt", tmp_path / "found.jsonl"
    asked.write_text("\n".join(queries), encoding="utf-8")
    assert main(["predict", short.run.dir, str(asked), "-k", str(DEPTH), "--out", str(out)]) == 0
    found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    ids = np.array([[int(uid.removeprefix("l")) for uid in line["labels"]] for line in found])
    assert_ranked((ids, np.array([line["scores"] for line in found])), expected)

    # Beside other evidence: of all labels, as the shares of a softmax over them.
    encoded = EncodedData(model, two_names, progress=False)
    rows = np.array([0, 3, 4])
    of_rows = scores_by_hand(model, model.encode_queries(two_names, "train")[rows], texts, fold)
    assert_ranked(encoded.ranked("train", rows, DEPTH), best_of(of_rows))
    votes, _ = query_votes(encoded)
    options = VoteOptions(0.3, 0.1)
    ensemble = Ensemble(EnsembleOptions(options), votes, lambda: model.label_texts(two_names))
    _, own, together = rank_test(encoded, ensemble)
    assert_ranked(own, expected)
    order = np.argsort(-scores, axis=1, kind="stable")
    lists = order, np.take_along_axis(scores, order, axis=1)
    by_vote = voted(lists, votes.nearest(vectors), votes.relevance, options, DEPTH)
    assert_ranked(together, by_vote)
    index.add_ensemble(EnsembleOptions(options), votes)
    assert_ranked(index.search(queries, DEPTH), by_vote)


def test_the_first_text_alone_is_trained_where_that_is_asked_for(short, changed, tmp_path):
    trainers = [
        Trainer(changed(short, data={"label_text_draw": draw}, run={"dir": str(tmp_path / draw)}))
        for draw in ("first", "random")
    ]
    first, random = (trainer.prepare_inputs() for trainer in trainers)
    ids = np.arange(NUM_WORDS)
    assert (first.label_rows.of_batch(ids, 0) == 3 * ids).all()
    assert not (random.label_rows.of_batch(ids, 0) == 3 * ids).all()
    assert len(random.labels) == 3 * NUM_WORDS - 2 and isinstance(random.frozen.labels, FirstTexts)
    alone, bounds = random.frozen.encode_label_texts(4, 6)
    np.testing.assert_allclose(alone[[0, 3]], random.frozen.encode_labels(np.array([4, 5])), atol=1e-6)
    assert bounds.tolist() == [0, 3, 6]


def test_what_does_not_go_with_several_texts_is_refused(config, changed):
    several = {"label_texts": "fields"}
    with pytest.raises(ConfigError, match="ranks by magnitudes"):
        changed(config, data=several, objective={"name": "spherical_softmax", "label_offsets": False})
    for name, value in (("label_texts", "words"), ("label_fold", "mean"), ("label_text_draw", "all")):
        with pytest.raises(ConfigError, match=f"data.{name}"):
            changed(config, data={name: value})
