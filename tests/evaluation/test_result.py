from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.fixtures.evaluations import made_up_evaluation
from xmc.errors import DataError
from xmc.evaluation import Evaluation, comparison_table

RESULT = made_up_evaluation(
    metrics={"P@1": 22.125, "P@3": 15.0, "R@100": 64.0}, num_queries=1234, num_labels=10, filtered_pairs=7
)


def test_json_round_trip():
    assert Evaluation.from_json(RESULT.to_json()) == RESULT
    assert json.loads(RESULT.to_json())["metrics"]["P@1"] == 22.125


@pytest.mark.parametrize("text", ["", "[]", "{}", "3"])
def test_other_json_is_refused(text):
    with pytest.raises(DataError, match="evaluation as JSON"):
        Evaluation.from_json(text)


def test_the_table_groups_by_kind_and_says_what_was_measured():
    assert RESULT.table().splitlines() == [
        "tiny, test: 1,234 queries, 10 labels, 7 pairs filtered; percent",
        "P        @1  22.12      @3  15.00",
        "R      @100  64.00",
    ]


def test_a_known_ceiling_stands_under_the_metrics():
    best = replace(RESULT, ceiling={"P@1": 80.8, "P@5": 60.0})
    assert best.table().splitlines()[-1] == "best possible on these data: P@1 80.80  P@5 60.00"
    assert Evaluation.from_json(best.to_json()) == best


def test_two_are_compared_with_the_gain():
    better = replace(RESULT, metrics={"P@1": 65.0, "P@3": 14.0, "R@100": 97.0}, model="ee")
    lines = comparison_table({"untrained": RESULT, "trained": better}).splitlines()
    assert lines[2].split() == ["untrained", "trained", "gain"]
    assert lines[3].split() == ["P@1", "22.12", "65.00", "+42.88"]
    assert lines[4].split() == ["P@3", "15.00", "14.00", "-1.00"]
    assert [
        line.split()[0] for line in comparison_table({"a": RESULT, "b": better}, ["P@3"]).splitlines()[3:]
    ] == ["P@3"]
    three = comparison_table({"a": RESULT, "b": better, "c": better})
    assert "gain" not in three and len(three.splitlines()) == 6


def test_different_queries_are_not_compared():
    with pytest.raises(DataError, match="same queries.*other"):
        comparison_table({"one": RESULT, "other": replace(RESULT, split="train")})
    with pytest.raises(DataError, match="at least one"):
        comparison_table({})
