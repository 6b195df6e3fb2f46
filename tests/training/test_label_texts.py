"""Runs of labels of several texts: which text a step draws, and that all of them are ranked by."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fixtures.killed import train_until_killed
from tests.runs import losses
from xmc.data import Dataset, DatasetWriter
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError, ModelError
from xmc.evaluation import evaluate
from xmc.retrieval import LabelIndex
from xmc.training import Trainer, train
from xmc.training.learned.label_texts import FirstTexts, LabelTextRows

NUM_WORDS = 40


@pytest.fixture(scope="module")
def two_names(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """As `dataset`, but each label has a second name, which no query is trained on with the first."""
    generator = np.random.default_rng(0)
    with DatasetWriter(tmp_path_factory.mktemp("two") / "words", name="words") as writer:
        for word in range(NUM_WORDS):
            writer.add_label(f"l{word}", f"label{word}", f"query{word}\nlabel{(word + 1) % NUM_WORDS}")
        for split, count in (("train", 60), ("test", 20)):
            for row in range(count):
                words = generator.choice(NUM_WORDS, 3, replace=False)
                text = " ".join(f"query{word}" for word in words)
                writer.add_row(split, f"{split}{row}", text, "", sorted(words.tolist()))
    return Dataset.load(writer.path)


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


def test_a_run_is_ranked_by_all_texts_and_resumes(short, changed, two_names, tmp_path, monkeypatch):
    result = train(short)
    killed = changed(short, run={"dir": str(tmp_path / "killed")})

    train_until_killed(killed, 5, monkeypatch)
    again = train(changed(killed, run={"resume": True}))
    assert losses(short.run.dir) == losses(tmp_path / "killed")
    model = DualEncoder.load(result.last_path)
    assert model.fingerprint == DualEncoder.load(again.last_path).fingerprint
    assert (model.metadata.label_texts, model.metadata.label_fold) == ("lines", "max")
    with pytest.raises(ModelError, match="one text a label"):
        model.encode_labels(two_names)
    # By hand: every line of every label against every query.
    texts = [text.split("\n") for text in model.label_texts(two_names)]
    assert [len(own) for own in texts] == [3] * NUM_WORDS
    uids = [uid for uid in two_names.uids("labels") for _ in range(3)]
    vectors = model.encode_labels([line for own in texts for line in own], uids=uids)
    queries = model.encode_queries(two_names, "test")
    scores = (queries @ vectors.T).reshape(len(queries), NUM_WORDS, 3).max(2)
    scores = scores + model.label_offsets.offsets / model.metadata.scale
    top = scores.argmax(1)
    hits = two_names.relevance("test")[np.arange(len(top)), top]
    measured = evaluate(model, two_names, progress=False)
    assert measured.metrics["P@1"] == pytest.approx(100 * float((np.asarray(hits) > 0).mean()))
    index = LabelIndex.build(model, two_names, kind="exact", progress=False)
    np.testing.assert_array_equal(index.search(list(two_names.texts("test")), 1)[0][:, 0], top)
    assert index.num_vectors == 3 * NUM_WORDS


def test_the_first_text_alone_is_trained_where_that_is_asked_for(short, changed, tmp_path):
    trainers = [
        Trainer(changed(short, data={"label_text_draw": draw}, run={"dir": str(tmp_path / draw)}))
        for draw in ("first", "random")
    ]
    first, random = (trainer.prepare_inputs() for trainer in trainers)
    ids = np.arange(NUM_WORDS)
    assert (first.label_rows.of_batch(ids, 0) == 3 * ids).all()
    assert not (random.label_rows.of_batch(ids, 0) == 3 * ids).all()
    assert len(random.labels) == 3 * NUM_WORDS and isinstance(random.frozen.labels, FirstTexts)
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
