from __future__ import annotations

import os
from pathlib import Path

import pytest

from xmc.data.cache import user_cache, writable_folder


def test_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert user_cache() == Path("/caches/xmc")
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert user_cache() == Path("/home/somebody/.cache/xmc")


def test_a_folder_that_is_yet_to_be_made(tmp_path: Path) -> None:
    assert writable_folder(tmp_path / "set" / "tokens") == tmp_path / "set" / "tokens"
    assert not (tmp_path / "set").exists()


def test_what_counts_is_the_nearest_folder_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "set").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path / "set")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    for _ in range(2):
        assert writable_folder(tmp_path / "set" / "tokens") == tmp_path / "home" / "xmc" / "tokens"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    (tmp_path / "set" / "tokens").mkdir()
    assert writable_folder(tmp_path / "set" / "tokens") == tmp_path / "set" / "tokens"
