from __future__ import annotations

import pytest

from xmc.errors import ConfigError
from xmc.training.run.config import RunOptions
from xmc.training.run.folder import open_run_folder, prepare_run_folder


def test_run_folder_keeps_files_that_are_not_its_own(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(ConfigError, match="notes.txt"):
        prepare_run_folder(RunOptions(dir=str(tmp_path), overwrite=True))
    assert (tmp_path / "notes.txt").read_text() == "mine"
    with pytest.raises(ConfigError, match="expected an earlier run"):
        prepare_run_folder(RunOptions(dir=str(tmp_path), resume=True))
    with pytest.raises(ConfigError, match="is a file"):
        open_run_folder(RunOptions(dir=str(tmp_path / "notes.txt")))


def test_a_finished_run_is_not_resumed(tmp_path):
    for name in ("config.yaml", "result.json"):
        (tmp_path / name).write_text("")
    with pytest.raises(ConfigError, match="it is finished"):
        prepare_run_folder(RunOptions(dir=str(tmp_path), resume=True))


def test_starting_over_removes_what_a_killed_run_left(tmp_path):
    for name in ("config.yaml", "label_memory-0.bin", "label_memory-11.bin"):
        (tmp_path / name).write_text("")
    prepare_run_folder(RunOptions(dir=str(tmp_path), overwrite=True))
    assert not list(tmp_path.iterdir())


def test_what_a_run_left_that_ended_before_a_step_is_not_in_the_way(tmp_path):
    """As one whose own loss failed: there is nothing to go on with."""

    def left(metrics: str, **more: str) -> None:
        for name, text in {"config.yaml": "", "metrics.jsonl": metrics, **more}.items():
            (tmp_path / name).write_text(text)

    new = RunOptions(dir=str(tmp_path))
    for more in ({}, {".model.partial": ""}):
        left('{"step": 0, "validation": {}}\n', **more)
        prepare_run_folder(new)
        assert not list(tmp_path.iterdir())
    for metrics, more in (
        ('{"step": 0}\n{"step": 10}\n', {}),
        ("no json", {}),
        ("", {"notes.txt": "mine"}),
        ("", {"result.json": ""}),
    ):
        left(metrics, **more)
        with pytest.raises(ConfigError, match="expected .* to be new or empty"):
            prepare_run_folder(new)
        assert (tmp_path / "metrics.jsonl").read_text() == metrics
        for name in more:
            (tmp_path / name).unlink()
