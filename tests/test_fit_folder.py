"""The folder of a fit: moved, and given where a run or an index is wanted."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from xmc import fit
from xmc.cli.main import main
from xmc.data import Dataset
from xmc.fit_folder import data_beside, is_fit_folder, part_of_fit

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def fitted(dataset: Dataset, static_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fit that was begun with relative paths; its data are in it then, as those of a fit of files are."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(dataset.path, tmp_path / "data")
    fixed: dict[str, Any] = {"encoder.model": str(static_model), "training.epochs": 1.0}
    fit("data", "out", quality="fast", fixed=fixed, say=lambda line: None)
    (tmp_path / "data").rename(tmp_path / "out" / "data")
    return tmp_path / "out"


def test_runs_of_a_fit_are_used_from_anywhere_and_after_a_move(
    fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    moved, elsewhere = tmp_path / "moved" / "fit", tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved.parent.mkdir()
    (tmp_path / "queries.txt").write_text("word3\n", encoding="utf-8")
    (fitted / "data").rename(tmp_path / "data")
    monkeypatch.chdir(elsewhere)
    assert main(["predict", str(fitted / "run"), str(tmp_path / "queries.txt"), "-k", "2"]) == 0
    here = capsys.readouterr().out
    assert main(["table", str(fitted / "run")]) == 0
    assert main(["train", str(fitted / "recipe.yaml"), "--run.dir", "again"]) == 0
    assert main(["train", str(fitted / "recipe.yaml")]) == 2
    assert f"run.dir: expected {fitted / 'run'} to be new or empty" in capsys.readouterr().err
    (tmp_path / "data").rename(fitted / "data")
    fitted.rename(moved)
    assert main(["predict", str(moved / "run"), str(tmp_path / "queries.txt"), "-k", "2"]) == 0
    assert capsys.readouterr().out == here
    (moved / "data").rename(tmp_path / "data2")
    assert main(["table", str(moved / "run")]) == 2
    assert f"expected a prepared data set in {tmp_path / 'data'}" in capsys.readouterr().err


def test_the_part_of_a_fit_to_name_is_said(fitted: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "queries.txt").write_text("word3\n", encoding="utf-8")
    place, run, index = str(fitted), str(fitted / "run"), str(fitted / "index")
    for words, part in (
        (["evaluate", place, str(fitted / "data")], run),
        (["table", place], run),
        (["table", place, "--dataset", str(fitted / "data")], run),
        (["index", place, "--labels", str(fitted / "data"), "--out", str(tmp_path / "new")], run),
        (["calibrate", place], run),
        (["search", place, "word3"], index),
        (["serve", place], index),
        (["predict", place, str(tmp_path / "queries.txt")], f"{index} or {run}"),
        (["predict", place, str(tmp_path / "queries.txt"), "--labels", str(fitted / "data")], run),
    ):
        assert main(words) == 2, words
        error = capsys.readouterr().err
        assert f"but {place} is the folder of a fit: name {part}\n" in error, words
    (fitted / "index").rename(tmp_path / "elsewhere")
    assert main(["search", place, "word3"]) == 2
    assert "a fit that has none yet: the command of the fit goes on with it" in capsys.readouterr().err


def test_what_is_no_fit_has_no_parts(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "data").mkdir()
    for place in (tmp_path, tmp_path / "none", "embedded"):
        assert not is_fit_folder(place) and part_of_fit(place, "run") is None
    assert data_beside(tmp_path / "run") is None
    (tmp_path / "choices.json").write_text("[]", encoding="utf-8")
    assert data_beside(tmp_path / "run") == tmp_path / "data"
    (tmp_path / "data").rmdir()
    assert data_beside(tmp_path / "run") is None
