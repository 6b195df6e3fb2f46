from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from xmc.errors import XMCError
from xmc.files import atomic_file, atomic_folder, check_replaceable


def test_a_file_and_a_folder_appear_whole(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "new" / "file") as partial:
        partial.write_text("all")
        assert not (tmp_path / "new" / "file").exists()
    with atomic_folder(tmp_path / "folder") as partial:
        (partial / "a").write_text("a")
        assert not (tmp_path / "folder").exists()
    assert (tmp_path / "new" / "file").read_text() == "all" and (tmp_path / "folder" / "a").is_file()
    assert sorted(os.listdir(tmp_path)) == ["folder", "new"] and os.listdir(tmp_path / "new") == ["file"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_of_what_failed(tmp_path: Path, failure: type[BaseException]) -> None:
    (tmp_path / "file").write_text("old")
    for place in (atomic_file(tmp_path / "file"), atomic_folder(tmp_path / "folder")):
        with pytest.raises(failure), place:
            raise failure
    assert os.listdir(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "old"


def test_a_full_disk_is_told_by_the_name_that_was_asked_for(tmp_path: Path) -> None:
    for place in (atomic_file(tmp_path / "x"), atomic_folder(tmp_path / "x")):
        with (
            pytest.raises(XMCError, match=rf"no space left while writing {tmp_path / 'x'} .*MB are free"),
            place,
        ):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for make in (atomic_file, atomic_folder):
        with pytest.raises(XMCError, match=r"file/x cannot be made \(.*/file is a file\)"):
            with make(tmp_path / "file" / "x"):
                pass
    with pytest.raises(XMCError, match="that is a folder"):
        with atomic_file(tmp_path):
            pass


def test_only_a_folder_of_its_own_kind_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    check_replaceable(tmp_path / "theirs", "mark.json", overwrite=False)
    (tmp_path / "theirs" / "photo").touch()
    with pytest.raises(XMCError, match="not to exist yet.*overwrite"):
        check_replaceable(tmp_path / "theirs", "mark.json", overwrite=False)
    for path in (tmp_path / "theirs", tmp_path / "theirs" / "photo"):
        with pytest.raises(XMCError, match="with mark.json, but .* holds something else"):
            check_replaceable(path, "mark.json", overwrite=True)
    (tmp_path / "theirs" / "mark.json").touch()
    check_replaceable(tmp_path / "theirs", "mark.json", overwrite=True)
    check_replaceable(tmp_path / "absent", "mark.json", overwrite=True)


def test_a_folder_that_holds_more_than_its_kind_is_not_overwritten(tmp_path: Path) -> None:
    for name in ("mark.json", "train.npz", ".DS_Store", "cache"):
        (tmp_path / name).touch()
    parts = ["*.npz", "cache"]
    check_replaceable(tmp_path, "mark.json", overwrite=True, parts=parts)
    (tmp_path / "notes.md").touch()
    with pytest.raises(XMCError, match="also holds notes.md, which would be lost"):
        check_replaceable(tmp_path, "mark.json", overwrite=True, parts=parts)
    (tmp_path / "a.txt").touch()
    with pytest.raises(XMCError, match="also holds a.txt and 1 more, which would be lost"):
        check_replaceable(tmp_path, "mark.json", overwrite=True, parts=parts)
