"""``xmc train`` tells which options have no effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from xmc.cli.config import load_train_config
from xmc.cli.main import main

NOTE = "note: residuals.dropout = 0.1 has no effect without residuals.enabled\n"


def test_it_is_told_before_the_first_step(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(recipe), "--residuals.dropout", "0.1", "--training.max_steps", "2"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(NOTE) and told.count("note: ") == 1
    # What the run wrote down of itself is a recipe too, of as many notes.
    again = ["train", str(recipe.parent / "run" / "config.yaml"), "--run.dir", str(recipe.parent / "again")]
    assert main(again) == 0
    told = capsys.readouterr().out
    assert told.startswith(NOTE) and told.count("note: ") == 1


def test_only_the_first_process_tells(
    recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xmc.cli.train.start_missing_processes", lambda: None)
    monkeypatch.setattr("xmc.training.train", lambda config: None)
    monkeypatch.setenv("RANK", "1")
    assert main(["train", str(recipe), "--residuals.dropout", "0.1"]) == 0
    assert "note: " not in capsys.readouterr().out


def test_seeds_are_resumed_without_being_asked(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", str(recipe), "--run.resume_with_changes", "true", "--training.max_steps", "1"]
    assert main([*words, "--seeds", "0"]) == 0
    assert "note: " not in capsys.readouterr().out
    assert main([*words, "--run.dir", str(recipe.parent / "one")]) == 0
    assert "note: run.resume_with_changes = true has no effect" in capsys.readouterr().out


def test_a_run_that_is_no_command_tells_nothing(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the trials of ``xmc fit``, which switch parts off on purpose."""
    from xmc.training import train

    train(load_train_config([str(recipe), "--residuals.dropout", "0.1", "--training.max_steps", "1"]))
    assert "has no effect" not in capsys.readouterr().out
