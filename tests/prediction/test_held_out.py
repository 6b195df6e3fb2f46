"""Validation rows are those of the data set that a run was trained on, and of no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xmc.data import Dataset, DatasetWriter
from xmc.errors import ConfigError
from xmc.prediction import calibrate


def forget_data(run: Path) -> None:
    """As a model of before the data set's fingerprint was kept."""
    path = run / "model" / "xmc.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["dataset_fingerprint"]
    path.write_text(json.dumps(content), encoding="utf-8")


def write_other(folder: Path, like: Path, *, label: str = "label0") -> None:
    """The labels of ``like`` (the first may be called otherwise) with other rows."""
    before = Dataset.load(like)
    with DatasetWriter(folder, name="words", overwrite=True) as writer:
        for uid, text in zip(before.uids("labels"), before.texts("labels"), strict=True):
            writer.add_label(uid, label if text == "label0" else text)
        for row in range(60):
            writer.add_row("train", f"train{row}", f"query{row % 40}", "", [row % 40])


REFUSED = "expected the data set that .* was trained on .* is another, or was imported again since"


def test_another_data_set_has_no_validation_rows_of_the_run(run: Path, data: Path, tmp_path: Path) -> None:
    write_other(tmp_path / "other", data)
    for forgotten in (False, True):
        if forgotten:
            forget_data(run)
        with pytest.raises(ConfigError, match=REFUSED):
            calibrate(run, tmp_path / "other", progress=False)


def test_a_data_set_imported_again_in_its_place_is_another(run: Path, data: Path) -> None:
    write_other(data, data)
    with pytest.raises(ConfigError, match=REFUSED):
        calibrate(run, progress=False)
    forget_data(run)
    write_other(data, data, label="renamed")
    with pytest.raises(ConfigError, match=REFUSED):
        calibrate(run, progress=False)


def test_a_copy_of_the_data_set_is_the_same_where_the_model_knows_it(
    run: Path, data: Path, tmp_path: Path
) -> None:
    copy = data.rename(tmp_path / "moved")
    assert "20 validation rows of words" in calibrate(run, copy, depth=40, progress=False).rows
