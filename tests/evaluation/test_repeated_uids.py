"""Two test rows with one uid: by row they are told apart, by uid they are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from xmc.data import Dataset, DatasetWriter, describe
from xmc.errors import DataError
from xmc.evaluation import save_predictions, score_predictions
from xmc.reports.examples import examples
from xmc.reports.systems import open_systems


@pytest.fixture
def dataset(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Dataset:
    with DatasetWriter(tmp_path / "d", name="d") as writer:
        for label in range(5):
            writer.add_label(f"l{label}", f"label {label}")
        writer.add_row("train", "same", "a", "", [0])
        for row, (uid, label) in enumerate([("one", 0), ("same", 1), ("same", 2)]):
            writer.add_row("test", uid, f"query {row}", "", [label])
    return Dataset.load(tmp_path / "d")


def test_the_import_warns(dataset: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    assert [record.getMessage() for record in caplog.get_records("setup")] == [
        "d: 2 test rows share their uid with another (rows 1 and 2 are the first): predictions that name "
        "queries by uid (TREC, JSON Lines) are refused, those by row (npz) are not"
    ]
    info = describe(dataset)
    assert info.repeated_uids == {"train": 0, "test": 2} and "0 train, 2 test" in info.table()


def test_predictions_by_row_are_scored_and_by_uid_refused(dataset: Dataset, tmp_path: Path) -> None:
    save_predictions(tmp_path / "p.npz", np.array([[0], [1], [2]]), np.ones((3, 1)))
    assert score_predictions(tmp_path / "p.npz", dataset, ks=(1,), recall_ks=(1,)).metrics["P@1"] == 100.0
    lines = [json.dumps({"uid": uid, "labels": ["l1"]}) for uid in ("one", "same")]
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    (tmp_path / "p.trec").write_text("one Q0 l1 1 1.0 x\nsame Q0 l1 1 1.0 x\n")
    for name in ("p.jsonl", "p.trec"):
        with pytest.raises(DataError, match="rows 1 and 2 are both 'same': give predictions by row"):
            score_predictions(tmp_path / name, dataset)


def test_a_comparison_tells_the_rows_apart_and_notes_short_lists(
    dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_predictions(tmp_path / "p.npz", np.array([[0], [1], [2]]), np.ones((3, 1)))
    system = open_systems([str(tmp_path / "p.npz")], dataset, "test")[0]
    found = examples(dataset, "test", [system], [np.ones(3)], [0, 1, 2])
    assert [example.uid for example in found] == ["one", "same (row 1)", "same (row 2)"]
    assert "3 of 3 queries have fewer than 3" in caplog.text
