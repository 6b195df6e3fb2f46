"""What ranks beside a model in an index ranks in its server too, with the probabilities of `xmc predict`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from fastapi.testclient import TestClient

from tests.serving.conftest import LABELS, TOKEN
from xmc.errors import DataError
from xmc.prediction.calibration import FILE, Calibration
from xmc.prediction.curve import Point
from xmc.prediction.judge import Judge
from xmc.prediction.platt import Platt
from xmc.prediction.predict import Prediction, predict_blocks
from xmc.prediction.queries import Query
from xmc.prediction.threshold import Threshold
from xmc.retrieval import LabelIndex
from xmc.retrieval.ensemble_options import EnsembleOptions, VoteOptions
from xmc.retrieval.vote import QueryVotes
from xmc.retrieval.words.classifiers import WordClassifiers
from xmc.retrieval.words.features import WordFeatures
from xmc.serving import LiveIndex, ServingLimits, create_app

TEXTS = ["red house", "blue bird", "stone in the river", "night"]
OPTIONS = EnsembleOptions(VoteOptions(0.4, 0.1), lexical=0.2, classifiers=0.3)


@pytest.fixture
def folder(folder: Path) -> Path:
    """The index with a vote for "night song" by whatever is red, words, and classifiers."""
    index = LabelIndex.load(folder)
    vectors = index.query_encoder.encode_queries(["red house", "red stone", "blue river"])
    labels = np.zeros((3, len(LABELS)))
    labels[[0, 1, 2], [4, 4, 0]] = 1
    features, counts = WordFeatures.learned(list(LABELS.values()), least=1)
    weights = np.random.default_rng(0).random((counts.shape[1], len(LABELS)), dtype=np.float32)
    said = WordClassifiers(features, sp.csr_matrix(weights), np.zeros(len(LABELS), dtype=np.float32))
    index.add_ensemble(OPTIONS, QueryVotes(vectors, sp.csr_matrix(labels)), said)
    index.save(folder, overwrite=True)
    return folder


@pytest.fixture
def calibration(folder: Path) -> Calibration:
    of = LabelIndex.load(folder).manifest.model_fingerprint
    judge = Judge((0.5, 1.0, 0.2, 0.3, -0.1))
    point = Point(0.5, 1.0, 0.5, 0.7, 0.9, 1.0)
    found = Calibration(of, len(LABELS), "rows", 9, 5, Platt(2.0, -1.0), 0.0, [point], judge)
    found.save(folder / FILE)
    return found


def predicted(folder: Path, k: int, calibration: Calibration | None = None) -> list[Prediction]:
    index = LabelIndex.load(folder)
    asked = [Query(str(number), text) for number, text in enumerate(TEXTS)]
    return next(iter(predict_blocks(index, asked, k, calibration=calibration)))


def test_a_server_ranks_as_predict_does(
    calibration: Calibration, folder: Path, serve: Callable[..., TestClient]
) -> None:
    client = serve()
    results = client.post("/search", json={"text": TEXTS, "k": 3}).json()["results"]
    plain = LabelIndex.load(folder)
    alone = plain.search_vectors(plain.query_encoder.encode_queries(TEXTS), 3)[0]
    uids = list(LABELS)
    changed = 0
    for row, (wanted, result) in enumerate(zip(predicted(folder, 3, calibration), results, strict=True)):
        labels = result["labels"]
        assert [label["uid"] for label in labels] == [uids[label] for label in wanted.ids]
        assert [label["score"] for label in labels] == pytest.approx(wanted.scores.tolist(), abs=1e-5)
        assert wanted.probabilities is not None
        assert [label["probability"] for label in labels] == pytest.approx(
            wanted.probabilities.tolist(), abs=1e-5
        )
        changed += [uids[label] for label in alone[row]] != [label["uid"] for label in labels]
    assert changed  # or the model alone would do


@pytest.mark.parametrize("asked", ["f1", 0.1, "0.3", 1, "coverage=0.5", "score=0.5"])
def test_a_threshold_keeps_what_predict_keeps(
    calibration: Calibration, folder: Path, serve: Callable[..., TestClient], asked: str | float
) -> None:
    client, threshold = serve(), Threshold.parse(str(asked))
    answer = client.post("/search", json={"text": TEXTS, "k": 4, "threshold": asked})
    least, index = threshold.least_score(calibration), LabelIndex.load(folder)
    by_score = not threshold.needs_calibration
    blocks = predict_blocks(
        index,
        [Query(str(number), text) for number, text in enumerate(TEXTS)],
        4,
        least_score=least if by_score else None,
        least_sureness=None if by_score else least,
        calibration=calibration,
    )
    wanted = [[index.uids[label] for label in row.ids[: row.count]] for row in next(iter(blocks))]
    found = [[label["uid"] for label in row["labels"]] for row in answer.json()["results"]]
    assert found == wanted
    got = client.get("/search", params={"q": TEXTS[0], "k": 4, "threshold": asked}).json()["results"]
    assert [label["uid"] for label in got[0]["labels"]] == wanted[0]


def test_a_threshold_that_cannot_be(
    calibration: Calibration, folder: Path, serve: Callable[..., TestClient]
) -> None:
    client = serve()
    for asked, said in (
        ("f2", "f1, a probability"),
        (1.5, "1.5"),
        ("precision=1", "precision that some score"),
    ):
        answer = client.post("/search", json={"text": "red", "threshold": asked})
        assert (answer.status_code, answer.json()["code"]) == (422, "threshold")
        assert said in answer.text
    (folder / FILE).unlink()
    assert client.post("/search", json={"text": "red", "threshold": "f1"}).status_code == 200
    alone = TestClient(create_app(LiveIndex(folder), token=None, limits=ServingLimits(), watch=60.0))
    with alone:
        answer = alone.post("/search", json={"text": "red", "threshold": "f1"})
        assert answer.status_code == 422 and "xmc calibrate" in answer.json()["mend"]
        assert alone.post("/search", json={"text": "red", "threshold": "score=-9"}).status_code == 200


def test_facts_say_what_ranks_beside_the_model(folder: Path, serve: Callable[..., TestClient]) -> None:
    client = serve()
    facts = client.get("/info").json()
    assert facts["beside"] == str(OPTIONS) and facts["probabilities"] is False
    labels = client.post("/search", json={"text": "red"}).json()["results"][0]["labels"]
    assert [label["probability"] for label in labels] == [None] * len(LABELS)


def test_a_calibration_that_is_damaged_later_costs_the_probabilities_alone(
    calibration: Calibration, folder: Path, live: LiveIndex, caplog: pytest.LogCaptureFixture
) -> None:
    assert live.current.calibration is not None
    index = LabelIndex.load(folder)
    index.remove(["g"])
    (folder / FILE).write_text("{")
    index.save(folder, overwrite=True)
    assert live.refresh() and live.current.calibration is None
    assert live.current.search(["red"], 2).ids.shape == (1, 2)
    assert "no probabilities" in caplog.text
    with pytest.raises(DataError):
        LiveIndex(folder)
    calibration.save(folder / FILE)
    index.remove(["n"])
    index.save(folder, overwrite=True)
    assert live.refresh() and live.current.calibration is not None


def test_the_number_of_labels_is_told_once(
    calibration: Calibration,
    live: LiveIndex,
    serve: Callable[..., TestClient],
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = serve()
    client.headers["Authorization"] = f"Bearer {TOKEN}"
    for number in range(3):
        assert (
            client.post("/labels", json={"labels": [{"uid": f"y{number}", "text": "red"}]}).status_code == 200
        )
    assert live.current.generation == 4
    assert caplog.text.count("probabilities were fitted with") <= 1


def test_a_device_answers_alike_and_follows_changes(folder: Path, live: LiveIndex) -> None:
    there = LiveIndex(folder, device="cpu")
    expected = live.current.search(TEXTS, 4)
    found = there.current.search(TEXTS, 4)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
    index = LabelIndex.load(folder)
    index.remove(["r"])
    index.save(folder, overwrite=True)
    assert there.refresh() and there.current.index._device is not None
    assert list(LABELS).index("r") not in there.current.search(TEXTS, 4).ids
