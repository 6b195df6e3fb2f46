from __future__ import annotations

import os
from pathlib import Path

import pytest

from xmc.cli.main import main
from xmc.cli.outputs import check_output_file, check_output_place
from xmc.errors import ConfigError


def test_what_can_be_written_passes(tmp_path: Path) -> None:
    check_output_file("--json", None)
    check_output_file("--json", str(tmp_path / "new" / "deep" / "file"))
    check_output_place("--out", str(tmp_path))


def test_what_is_in_the_way_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=f"--json: expected a file to write, but {tmp_path} is a folder"):
        check_output_file("--json", str(tmp_path))
    with pytest.raises(ConfigError, match="--out: expected a folder above .*, but .*/file is a file"):
        check_output_place("--out", str(tmp_path / "file" / "deep" / "index"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ConfigError, match="--out: .* is not writable"):
        check_output_place("--out", str(tmp_path / "index"))


def test_commands_look_before_they_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The inputs do not exist, so an error of the output proves that it was looked at first."""
    (tmp_path / "file").touch()
    place = str(tmp_path / "file" / "x")
    for words in (
        ["evaluate", "no/such/model", "nowhere", "--json", place],
        ["evaluate", "no/such/model", "nowhere", "--predictions", place],
        ["index", "no/such/model", "--labels", "nowhere", "--out", place],
        ["data", "import", "nowhere", place],
        ["data", "build", "api-docs", place],
        ["data", "info", "nowhere", "--json", place],
    ):
        assert main(words) == 2
        assert "is a file" in capsys.readouterr().err
