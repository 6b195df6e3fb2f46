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


def test_queries_named_from_1_are_not_taken_for_rows_unnoticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As `xmc predict` names those of a file without uids: a list too many is an error, else it is told."""
    for named in (True, False):
        with DatasetWriter(tmp_path / f"{named}", name="rows") as writer:
            writer.add_label("a", "a")
            writer.add_row("train", "x", "x", "", [0])
            for row in range(3):
                writer.add_row("test", f"t{row}" if named else str(row), f"text {row}", "", [0])
    numbered, own = Dataset.load(tmp_path / "False"), Dataset.load(tmp_path / "True")

    def written(*uids: str) -> Path:
        (tmp_path / "p.trec").write_text("".join(f"{uid} Q0 a 1 0.5 x\n" for uid in uids), encoding="utf-8")
        return tmp_path / "p.trec"

    with pytest.raises(DataError, match="got '3': a data set names queries without a uid from 0, and xmc pr"):
        score_predictions(written("1", "2", "3"), numbered)
    score_predictions(written("1", "2"), numbered, quiet=True)
    assert "no predictions of query '0', the first row of rows, and some of '1': a data set" in caplog.text
    caplog.clear()
    score_predictions(written("0", "1"), numbered, quiet=True)
    score_predictions(written("2"), numbered, quiet=True)
    score_predictions(written("t1", "t2"), own, quiet=True)
    assert not caplog.messages
    with pytest.raises(DataError, match="got '3'$"):
        score_predictions(written("3"), own)
