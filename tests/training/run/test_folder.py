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
