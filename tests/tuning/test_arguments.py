"""Arguments of a fit of the wrong kind: each is named, with what was expected, before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from xmc import fit
from xmc.data import Dataset
from xmc.errors import ConfigError
from xmc.tuning.arguments import check_fixed, given_data, given_files


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data": 5}, "data: expected a data set, or the path of a folder, a file or several, got int 5$"),
        ({"data": None}, "data: expected a data set, .* got NoneType None$"),
        ({"data": pd.DataFrame({"query": ["a"]})}, "data: .* got DataFrame .*; save a table first, as with"),
        ({"data": [{"query": "a", "label": "b"}]}, "data: .* got list .*; save a table first"),
        ({"data": b"clicks.csv"}, "data: .* got bytes b'clicks.csv'$"),
        ({"data": []}, "data: expected a data set or files, got none"),
        ({"out": 5}, "out: expected the path of a folder, got int 5"),
        (
            {"out": "/dev/null"},
            "out: expected a folder to make, or that of a fit, but /dev/null is no folder",
        ),
        ({"labels": 3}, "labels: expected the path of one table of labels, or None, got int 3"),
        ({"labels": ["a"]}, r"labels: expected the path of one table of labels, or None, got list \['a'\]"),
        ({"test": 5}, "test: expected the path of a file, or a list of them, got int 5"),
        ({"test": [5]}, r"test: expected the path of a file, or a list of them, got list \[5\]"),
        ({"split": "0.1"}, "split: expected a number such as 0.1, or None for no split, got str '0.1'"),
        ({"split": True}, "split: expected a number"),
        ({"tables": {"header": True}}, "tables: expected xmc.data.tables.TableOptions, or None, got dict"),
        ({"budget": [1]}, r'budget: expected a time such as "10m", or a number of seconds, got list \[1\]'),
        ({"budget": True}, "budget: expected a time"),
        ({"seed": "a"}, "seed: expected a whole number, got str 'a'"),
        ({"seed": 1.5}, "seed: expected a whole number, got float 1.5"),
        ({"say": "print"}, "say: expected a function"),
        ({"quality": 3}, "quality: expected one of fast, good, best, got 3"),
        ({"metric": ["P@1"]}, "metric: expected one of"),
        ({"fixed": 5}, "fixed: expected values by the dotted names of options"),
        ({"fixed": [("training.epochs", 3.0)]}, "fixed: expected values by the dotted names of options"),
        ({"fixed": {1: 3.0}}, "fixed: expected values by the dotted names of options"),
        ({"fixed": {"training.epochs": "3"}}, "fixed: training.epochs: expected a number, got '3'"),
        ({"fixed": {"training.batch_size": 8.5}}, "fixed: training.batch_size: expected a whole number"),
        ({"fixed": {"encoder.kind": "cnn"}}, "fixed: encoder.kind: expected one of 'auto', "),
        (
            {"fixed": {"training.epoch": 3}},
            "fixed: expected an option of a recipe, got training.epoch: one of",
        ),
        ({"fixed": {"epochs": 3}}, "fixed: expected an option of a recipe, got epochs: one of data, "),
        ({"fixed": {"head.kind.more": 3}}, "fixed: expected an option of a recipe, got head.kind.more$"),
        ({"fixed": {"encoder.lora": {}}}, "fixed: expected an option of the section encoder.lora, as enc"),
    ],
)
def test_what_is_of_another_kind_is_refused_before_any_work(
    given: dict[str, Any], message: str, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments: dict[str, Any] = {"data": dataset, "out": tmp_path / "out", **given}
    with pytest.raises(ConfigError, match=f"^{message}"):
        fit(**arguments)
    assert list(tmp_path.iterdir()) == []


def test_what_is_right_is_taken_as_it_is(dataset: Dataset) -> None:
    assert given_data(dataset) is dataset and given_data("a.csv") == ["a.csv"]
    assert given_data(path for path in [Path("a"), "b"]) == [Path("a"), "b"]
    assert given_files("test", "a.csv") == ["a.csv"] and given_files("test", ()) == []
    options = {
        "training.epochs": 3,
        "objective.virtual_negative": None,
        "training.callbacks": ["own:callback"],
        "encoder.lora.rank": 8,
    }
    assert check_fixed(options) == options and check_fixed(None) == {}
