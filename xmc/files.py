"""Files and folders that appear whole or not at all, and fingerprints of their content."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xmc.errors import XMCError

__all__ = ["atomic_file", "atomic_folder", "check_replaceable", "fingerprint", "sha256_file"]

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it takes ``path``'s place, on failure it is removed.

    Raises:
        XMCError: When the disk is full, or a file cannot be made there; the text names ``path``.
    """
    path = Path(path)
    if path.is_dir():
        raise XMCError(f"expected to write the file {path}, but that is a folder: name a file in it")
    with _writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path)
        temporary.touch()
    try:
        with _explained(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; it takes ``path``'s place on success, and goes on failure.

    Raises:
        XMCError: When ``path`` is there already and ``overwrite`` is false, when the disk is full, or when a
            folder cannot be made there.
    """
    path = Path(path)
    if not overwrite:
        _refuse_taken(path)
    with _writable(path):
        temporary = _beside(path)
        temporary.mkdir(parents=True)
    try:
        with _explained(path):
            yield temporary
            _take_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(path: str | Path, *marks: str, overwrite: bool) -> None:
    """Refuse, before any work is done, a folder that is in the way.

    Args:
        path: The folder to write.
        marks: Files that tell a folder of the kind to be written: one with any of them may be overwritten.
        overwrite: Whether an earlier one may be replaced.

    Raises:
        XMCError: When ``path`` is taken and ``overwrite`` is false, or holds something of another kind.
    """
    path = Path(path)
    if not overwrite:
        _refuse_taken(path)
    elif _taken(path) and not any((path / mark).is_file() for mark in marks):
        raise XMCError(
            f"expected to overwrite a folder with {' or '.join(marks)}, but {path} holds something "
            "else, which is left alone: choose another folder, or remove it yourself"
        )


def _taken(path: Path) -> bool:
    return path.exists() and (not path.is_dir() or any(path.iterdir()))


def _refuse_taken(path: Path) -> None:
    if _taken(path):
        raise XMCError(
            f"expected {path} not to exist yet, but it does: choose another place, or overwrite it "
            "(--overwrite, in Python overwrite=True)"
        )


def _take_place(temporary: Path, path: Path) -> None:
    """Rename a folder over another.

    The old one is moved aside first, as a folder cannot be replaced in one call.
    """
    old = _beside(path)
    if path.exists():
        os.replace(path, old)
    os.replace(temporary, path)
    if old.is_dir():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.parent / f".{path.name}.{uuid.uuid4().hex[:8]}.partial"


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise _full(path) from error
        blocking = next((place for place in path.parents if place.exists()), path)
        reason = error.strerror if blocking.is_dir() else f"{blocking} is a file"
        raise XMCError(
            f"expected a place that can be written, but {path} cannot be made ({reason}): choose another"
        ) from error


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise _full(path) from error
        raise


def _full(path: Path) -> XMCError:
    return XMCError(f"no space left while writing {path}: free some space or write elsewhere")


def sha256_file(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(*parts: str | bytes) -> str:
    """Sixteen hexadecimal digits that name ``parts``: equal parts in equal order give equal digits."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:16]
