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

__all__ = ["atomic_file", "atomic_folder", "fingerprint", "sha256_file"]


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it takes ``path``'s place, on failure it is removed.

    Raises:
        XMCError: When the disk is full; the text names ``path``.
    """
    path = Path(path)
    temporary = _beside(path)
    try:
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; it takes ``path``'s place on success, and goes on failure.

    Raises:
        XMCError: When ``path`` is there already and ``overwrite`` is false, or when the disk is full.
    """
    path = Path(path)
    if not overwrite and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise XMCError(
            f"expected {path} not to exist yet, but it does: choose another folder or ask to overwrite it"
        )
    temporary = _beside(path)
    try:
        with _explained(path):
            temporary.mkdir(parents=True)
            yield temporary
            _take_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _take_place(temporary: Path, path: Path) -> None:
    """Rename a folder over another: the old one is moved aside first, as a folder cannot be replaced in one
    call."""
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
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise XMCError(
                f"no space left while writing {path}: free some space or write elsewhere"
            ) from error
        raise


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
