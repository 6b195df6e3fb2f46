from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from xmc.encoders import DualEncoder
from xmc.errors import ConfigError, DataError
from xmc.evaluation import load_predictions
from xmc.prediction import Prediction, Query, predict_blocks, write_predicted
from xmc.prediction.calibration import Calibration
from xmc.prediction.curve import Point
from xmc.prediction.platt import Platt
from xmc.retrieval import LabelIndex

CALIBRATION = Calibration("m", 3, "rows", 1, 3, Platt(2.0, -1.0), 0.0, [Point(1, 1, 1, 1, 1, 1)])
QUERIES = [Query("q1", "3 1 0"), Query("q2", " "), Query("q3", "0 0.5 2")]


@pytest.fixture
def index(make_encoder: Callable[..., DualEncoder]) -> LabelIndex:
    return LabelIndex.build(make_encoder(), ["1 0 0", "0 1 0", "0 0 1"], uids=["a", "b", "c"], progress=False)


def test_blocks_keep_the_order_and_a_blank_query_gets_nothing(
    index: LabelIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xmc.prediction.predict.BLOCK", 2)
    blocks = list(predict_blocks(index, iter(QUERIES), 2, calibration=CALIBRATION))
    assert [len(block) for block in blocks] == [2, 1]
    first, blank, last = (prediction for block in blocks for prediction in block)
    assert first.ids.tolist() == [0, 1] and first.scores.tolist() == [3, 1]
    assert first.probabilities == pytest.approx([1 / (1 + np.exp(-5)), 1 / (1 + np.exp(-1))])
    assert blank.count == 0 and last.ids.tolist() == [2, 1]


def test_queries_are_read_as_they_are_needed(index: LabelIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmc.prediction.predict.BLOCK", 2)

    def endless() -> Iterator[Query]:
        while True:
            yield Query("q", "1 2 3")

    blocks = predict_blocks(index, endless(), 1)
    assert len(next(blocks)) == len(next(blocks)) == 2


def test_a_threshold_leaves_out_lower_scores(index: LabelIndex) -> None:
    (block,) = predict_blocks(index, QUERIES, 3, least_score=1.0)
    assert [prediction.count for prediction in block] == [2, 0, 1]
    assert block[0].ids.tolist() == [0, 1, -1]


def test_every_format_says_the_same(index: LabelIndex, tmp_path: Path) -> None:
    def write(name: str) -> Path:
        blocks = predict_blocks(index, QUERIES, 3, least_score=1.0, calibration=CALIBRATION)
        assert write_predicted(tmp_path / name, blocks, index) == (3, 3)
        return tmp_path / name

    records = [json.loads(line) for line in write("p.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["labels"] for record in records] == [["a", "b"], [], ["c"]]
    assert records[0] | {"probabilities": 0} == {
        "uid": "q1", "query": "3 1 0", "labels": ["a", "b"], "texts": ["1 0 0", "0 1 0"],
        "scores": [3.0, 1.0], "probabilities": 0,
    }  # fmt: skip
    assert records[2]["probabilities"] == [pytest.approx(1 / (1 + np.exp(-3)), rel=1e-6)]
    with open(write("p.csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["query_uid"], row["rank"], row["label_uid"]) for row in rows] == [
        ("q1", "1", "a"), ("q1", "2", "b"), ("q3", "1", "c"),
    ]  # fmt: skip
    assert [float(row["probability"]) for row in rows[:2]] == records[0]["probabilities"]
    ids, scores = load_predictions(write("p.npz"))
    assert ids.tolist() == [[0, 1, -1], [-1, -1, -1], [2, -1, -1]] and scores[0, 1] == 1
    assert write("p.trec").read_text(encoding="utf-8").splitlines() == [
        "q1 Q0 a 1 3.0 xmc", "q1 Q0 b 2 1.0 xmc", "q3 Q0 c 1 2.0 xmc",
    ]  # fmt: skip


def test_a_label_that_the_index_has_not_is_refused(index: LabelIndex, tmp_path: Path) -> None:
    ids, scores = np.array([3, -1]), np.array([1, -np.inf], dtype=np.float32)
    blocks = [[Prediction(QUERIES[0], ids, scores, None)]]
    with pytest.raises(DataError, match="the index names label 3, expected ids below 3"):
        write_predicted(tmp_path / "p.jsonl", blocks, index)


def test_a_failure_leaves_no_file(index: LabelIndex, tmp_path: Path) -> None:
    def failing() -> Iterator[Query]:
        yield QUERIES[0]
        raise DataError("line 2: no")

    for name in ("p.jsonl", "p.npz"):
        with pytest.raises(DataError, match="line 2: no"):
            write_predicted(tmp_path / name, predict_blocks(index, failing(), 1), index)
    blocks = predict_blocks(index, [Query("two words", "1 0 0")], 1)
    with pytest.raises(DataError, match="uids without spaces in a TREC run, got 'two words'"):
        write_predicted(tmp_path / "p.trec", blocks, index)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="ends in .jsonl"):
        write_predicted(tmp_path / "p.xml", [], index)
