"""Folders of runs that differ in their seed alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xmc.errors import DataError
from xmc.seed_folders import run_of_seeds, seed_folder, seed_runs


def test_folders_of_seeds(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for seed in (10, 2, 0):
        seed_folder(tmp_path, seed).mkdir()
    with pytest.raises(DataError, match="expected finished runs .* got 3 that are not"):
        seed_runs(tmp_path)
    for seed in (10, 2):
        (tmp_path / f"seed-{seed}" / "result.json").write_text(json.dumps({}), encoding="utf-8")
    assert [path.name for path in seed_runs(tmp_path)] == ["seed-2", "seed-10"]
    assert "not finished, left out: seed-0" in caplog.text
    told = run_of_seeds(tmp_path)
    assert told == f"{tmp_path} is a folder of seeds: name one of its runs, such as {tmp_path / 'seed-0'}"
    (tmp_path / "config.yaml").touch()
    assert run_of_seeds(tmp_path) is None and run_of_seeds("nothing") is None
    assert seed_runs(tmp_path) == [] and seed_runs(tmp_path / "nothing") == []
