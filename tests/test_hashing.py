"""SHA-256 in threads, and from before files are opened: whatever happens to them, that of what is there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from xmc import hashing
from xmc.hashing import sha256_ahead, sha256_in_background


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.setattr(hashing, "_HASHED_AT_ONCE", 1000)
    made = [tmp_path / f"file-{size}" for size in (0, 1, 999, 1000, 1001, 5500)]
    for path in made:
        path.write_bytes(os.urandom(int(path.name.partition("-")[2])))
    return made


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are hashed from here on."""
    seen: list[Path] = []
    whole = hashing._hashed

    def hashed(path: Path, left: object) -> object:
        seen.append(path)
        return whole(path, left)  # type: ignore[arg-type]

    monkeypatch.setattr(hashing, "_hashed", hashed)
    return seen


def test_digests_are_those_of_the_bytes(files: list[Path]) -> None:
    with sha256_in_background(files) as digest_of:
        assert [digest_of(path) for path in files] == [digest(path) for path in files]
    with pytest.raises(OSError), sha256_in_background([files[0].parent]) as digest_of:
        digest_of(files[0].parent)


def test_what_is_begun_ahead_is_taken_once(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = counted(monkeypatch)
    linked = tmp_path / "link"
    linked.symlink_to(files[-1])
    with sha256_ahead(files):
        with sha256_in_background([*files[:-1], linked]) as digest_of:
            assert [digest_of(path) for path in files[:-1]] == [digest(path) for path in files[:-1]]
            assert digest_of(linked) == digest(files[-1])
        assert sorted(path.resolve() for path in seen) == sorted(path.resolve() for path in files)
        with sha256_in_background(files[:2]) as digest_of:
            assert digest_of(files[1]) == digest(files[1])
        assert seen[len(files) :].count(files[1]) == 1
    assert not hashing._ahead


def test_files_that_changed_since_are_hashed_again(files: list[Path]) -> None:
    replaced, written, gone = files[-1], files[-2], files[-3]
    before = written.stat()
    with sha256_ahead(files):
        for begun in hashing._ahead.values():  # all are done before anything changes
            begun.result()
        with sha256_in_background(files) as digest_of:
            new = replaced.with_name("new")
            new.write_bytes(os.urandom(5500))
            os.replace(new, replaced)
            with open(written, "r+b") as file:  # in place, of the same size, and with the same time
                file.write(b"other")
            os.utime(written, ns=(before.st_atime_ns, before.st_mtime_ns))
            gone.unlink()
            assert digest_of(replaced) == digest(replaced)
            assert digest_of(written) == digest(written)
            with pytest.raises(FileNotFoundError):
                digest_of(gone)


def test_what_nobody_asks_for_is_given_up(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = counted(monkeypatch)
    monkeypatch.setattr(hashing, "_THREADS", 1)
    with pytest.raises(RuntimeError), sha256_ahead(files):
        raise RuntimeError
    assert len(seen) < len(files) and not hashing._ahead
    with sha256_in_background(files) as digest_of:
        assert digest_of(files[-1]) == digest(files[-1])


def test_an_unreadable_file_ahead_is_read_where_it_is_asked_for(files: list[Path]) -> None:
    missing = files[0].with_name("missing")
    with sha256_ahead([missing]):
        missing.write_bytes(b"here by now")
        with sha256_in_background([missing]) as digest_of:
            assert digest_of(missing) == digest(missing)
