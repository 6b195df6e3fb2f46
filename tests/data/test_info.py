from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from xmc.data import Dataset, describe


def test_counts_by_hand(build: Callable[..., Dataset]) -> None:
    info = describe(build([[0, 1, 2], [], [0], [0, 0]]))
    train = info.labels_per_point["train"]
    assert (train.mean, train.median, train.max) == (1.25, 1.0, 3)
    points = info.points_per_label
    assert (points.mean, points.median, points.max) == (1.25, 1.0, 3)
    assert info.share_of_one_point_labels == 0.5 and info.labels_without_points == 1
    assert info.rows_without_labels == {"train": 1, "test": 0}
    assert info.filter_pairs == {"train": 0, "test": 1}
    assert info.folded_duplicates == 1
    assert info.text_lengths["test"].max == len("a test")
    assert info.text_lengths["train"].mean == pytest.approx(len("query 0 content 0"))
    labels = ["label 0 long", "label 1 long", "label 2 long"]
    assert info.example == {"uid": "q0", "text": "query 0 content 0", "labels": labels}


def test_json_and_table_say_the_same(build: Callable[..., Dataset]) -> None:
    info = describe(build([[0, 1]], "my-set"))
    raw = json.loads(info.to_json())
    assert raw["name"] == "my-set" and raw["propensity"] == {"a": 0.55, "b": 1.5}
    assert raw["labels_per_point"]["train"] == {"mean": 2.0, "median": 2.0, "max": 2}
    table = info.table()
    for words in ("my-set", "training rows", "mean 2.00", "A 0.55, B 1.5", "query 0 content 0", "label 1"):
        assert words in table
    assert str(info) == table
    assert "a label's text" in table and "title + content" in table


def test_a_set_without_training_rows(build: Callable[..., Dataset]) -> None:
    info = describe(build([]))
    assert info.example == {} and info.points_per_label.max == 0 and "example" not in info.table()
