from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from xmc.cli.main import main
from xmc.distillation.file import TeacherFile

Capture = pytest.CaptureFixture[str]


def test_the_file_the_ensemble_and_the_student(
    recipe: Path, model_folder: Path, dataset_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    ensemble = tmp_path / "ensemble.npz"
    words = ["distill", str(recipe), "--teachers", str(model_folder), "--top=5", "--ensemble", str(ensemble)]
    assert main(words) == 0
    out = capsys.readouterr().out
    file = tmp_path / "run-teachers.parquet"
    assert f"teachers: {file}, 1 of them" in out and f"ensemble: {ensemble}" in out and "model: " in out
    facts = TeacherFile.open(file).facts
    assert (facts.top, facts.sampled, facts.num_rows, facts.teachers) == (5, 4, 60, (str(model_folder),))
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text(encoding="utf-8"))
    assert saved["distillation"]["teachers"] == str(file)
    # A file of the same teachers is taken as it is; others are refused.
    again = [*words, "--run.overwrite", "true", "--only-file"]
    written = file.stat().st_mtime_ns
    assert main(again) == 0 and file.stat().st_mtime_ns == written
    assert main(["distill", str(recipe), "--teachers", str(model_folder), "--only-file"]) == 2
    assert "expected no file, or that of these teachers" in capsys.readouterr().err
    assert main(["score", str(ensemble), str(dataset_folder), "--json", str(tmp_path / "s.json")]) == 0
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["num_queries"] == 20


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ([], "teachers must be given"),
        (["--teachers", "[]"], "--teachers: expected at least one"),
        (["--teachers", "x", "--temperature", "0"], "--temperature: expected a number above 0"),
        (["--teachers", "x", "--seeds", "0,1"], "expected neither --profile nor --seeds"),
        (
            ["--teachers", "FILE", "--ensemble", "e.npz"],
            "--ensemble: expected teachers that rank test queries",
        ),
        (["--teachers", "x", "--head.kind", "factored"], "expected head.kind 'none'"),
        (["--teachers", "nothing-there", "--only-file"], "nothing-there"),
    ],
)
def test_wrong_words_are_refused(recipe: Path, capsys: Capture, more: list[str], text: str) -> None:
    words = [str(recipe) if word == "FILE" else word for word in more]  # any file
    assert main(["distill", str(recipe), *words]) == 2
    assert text in capsys.readouterr().err


def test_options_of_the_student_without_effect_are_told(
    recipe: Path, model_folder: Path, capsys: Capture
) -> None:
    words = ["distill", str(recipe), "--teachers", str(model_folder), "--top", "5"]
    words += ["--distillation.hard_weight", "0", "--objective.name", "softmax", "--training.max_steps", "1"]
    assert main([*words, "--only-file"]) == 0
    assert "note: " not in capsys.readouterr().out
    assert main(words) == 0
    told = capsys.readouterr().out
    assert told.startswith("note: objective.name = softmax has no effect with distillation.teachers and ")


def test_it_is_one_process(recipe: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["distill", str(recipe), "--teachers", "x"]) == 2
    assert "expected one process" in capsys.readouterr().err
