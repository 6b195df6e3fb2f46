from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pytest

import xmc.corpora.debian.lists as lists
from xmc.corpora.debian.lists import find_lists, open_list
from xmc.errors import DataError

TEXT = "Package: a\nDescription: caf\u00e9\n"


def _read(path: Path) -> list[str]:
    with open_list(path) as lines:
        return list(lines)


@pytest.mark.parametrize(
    ("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)]
)
def test_plain_and_compressed(tmp_path: Path, suffix: str, pack) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / f"deb.example.org_Packages{suffix}"
    path.write_bytes(pack(TEXT.encode()))
    assert "".join(_read(path)) == TEXT


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x_Packages", b"Package: \xff\n", "expected UTF-8"),
        ("x_Packages.gz", gzip.compress(TEXT.encode() * 99, mtime=0)[:-9], "whole, readable"),
        ("x_Packages.gz", b"not gzip", "whole, readable"),
        ("x_Packages.xz", b"not xz", "whole, readable"),
        ("x_Packages.xz", lzma.compress(TEXT.encode() * 99)[:-9], "whole, readable"),
    ],
)
def test_damaged(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=message) as caught:
        _read(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        _read(tmp_path / "Packages")


def test_apts_helper_reads_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper, path = tmp_path / "apt-helper", tmp_path / "x_Packages.lz4"
    path.write_bytes(TEXT.encode())
    monkeypatch.setattr(lists, "APT_HELPER", helper)
    with pytest.raises(DataError, match="name the plain file with --packages"):
        _read(path)
    helper.write_text('#!/bin/sh\n[ "$1" = cat-file ] && cat "$2"\n')
    helper.chmod(0o755)
    assert "".join(_read(path)) == TEXT
    helper.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(DataError, match="but it failed"):
        _read(path)


def test_finding(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="apt-get update.*--packages"):
        find_lists(tmp_path)
    wanted = ["b_main_Packages.lz4", "c_main_Packages", "a_Translation-en.xz"]
    for name in [*wanted, "b_main_Packages.diff_Index", "a_Translation-de", "b_InRelease", "lock"]:
        (tmp_path / name).touch()
    assert [path.name for path in find_lists(tmp_path)] == wanted
