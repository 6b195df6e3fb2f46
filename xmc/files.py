"""Files and folders that appear whole or not at all, and fingerprints of their content."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from xmc.errors import XMCError

__all__ = [
    "atomic_file",
    "atomic_folder",
    "check_replaceable",
    "check_space",
    "explained",
    "fingerprint",
    "fingerprint_of",
    "point_to",
    "sha256_file",
]

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_IN_RUST = tuple(f"(os error {number})" for number in (*_FULL, 112))
"""How safetensors says it, in an exception that is no OSError; 112 is Windows' number."""

_OF_SYSTEMS = (".DS_Store", "Thumbs.db", ".*.partial")
"""What desktops leave in a folder that they show, and what a stopped program left unfinished."""

_HASHED_AT_ONCE = 4 << 20
"""Bytes."""

_REFUSED = (*_FULL, errno.EROFS, errno.EACCES)


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
        with explained(path):
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
        with explained(path):
            yield temporary
            _take_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(
    path: str | Path, *marks: str, overwrite: bool, parts: Sequence[str] | None = None
) -> None:
    """Refuse, before any work is done, a folder that is in the way.

    Args:
        path: The folder to write.
        marks: Files that tell a folder of the kind to be written: one with any of them may be overwritten.
        overwrite: Whether an earlier one may be replaced.
        parts: Patterns of the names that a folder of that kind has, where it has no others.

    Raises:
        XMCError: When ``path`` is taken and ``overwrite`` is false, or holds something of another kind, or
            beside ``parts`` something that is not ours to remove.
    """
    path = Path(path)
    if not overwrite:
        _refuse_taken(path)
    elif _taken(path) and not any((path / mark).is_file() for mark in marks):
        raise XMCError(
            f"expected to overwrite a folder with {' or '.join(marks)}, but {path} holds something "
            "else, which is left alone: choose another folder, or remove it yourself"
        )
    elif parts is not None and path.is_dir():
        known = [*marks, *parts, *_OF_SYSTEMS]
        others = [one.name for one in path.iterdir() if not any(fnmatch(one.name, name) for name in known)]
        if others:
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            raise XMCError(
                f"expected to overwrite a folder that xmc wrote, but {path} also holds {min(others)}{more}, "
                "which would be lost: choose another folder, or move that elsewhere"
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
    _remove(old)


def point_to(path: str | Path, folder: str | Path) -> None:
    """Make ``path`` lead to ``folder``, in place of where it led before.

    It is a relative symbolic link, replaced in one step, so that ``path`` is whole at any moment. On a file
    system without links it is a copy, with shared files where the disk can; a copy is replaced in two steps,
    between which ``path`` is absent.

    Raises:
        XMCError: When the disk is full, or nothing can be made there.
    """
    path, folder = Path(path), Path(folder)
    temporary = _beside(path)
    with _writable(path):
        try:
            os.symlink(os.path.relpath(folder, path.parent), temporary, target_is_directory=True)
        except (OSError, NotImplementedError) as error:
            if isinstance(error, OSError) and error.errno in _REFUSED:
                raise
            shutil.copytree(folder, temporary, copy_function=_link_or_copy)
    try:
        with explained(path):
            if temporary.is_symlink() and (path.is_symlink() or not path.exists()):
                os.replace(temporary, path)
            else:
                _take_place(temporary, path)
    finally:
        _remove(temporary)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    import uuid  # brings what asks for the platform along: a search, which writes nothing, has no use for it

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
def explained(path: str | Path) -> Iterator[None]:
    """Around what writes ``path``.

    Raises:
        XMCError: When the disk is full, with what is free; other errors are left as they are.
    """
    try:
        yield
    except Exception as error:
        if _is_full(error):
            raise _full(Path(path)) from error
        raise


def check_space(path: str | Path, needed: int) -> None:
    """Refuse to begin writing what the disk has no room for.

    Args:
        path: What is to be written.
        needed: Its bytes.

    Raises:
        XMCError: With both numbers.
    """
    if needed > (free := _free(Path(path))):
        raise XMCError(
            f"expected {_megabytes(needed)} free to write {path}, got {_megabytes(free)}: free some space or "
            "write elsewhere"
        )


def _is_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in _FULL
    return type(error).__name__ == "SafetensorError" and any(text in str(error) for text in _FULL_IN_RUST)


def _full(path: Path) -> XMCError:
    return XMCError(
        f"no space left while writing {path} ({_megabytes(_free(path))} are free): free some space or write "
        "elsewhere"
    )


def _free(path: Path) -> int:
    return shutil.disk_usage(next(place for place in (path, *path.absolute().parents) if place.exists())).free


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def sha256_file(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_HASHED_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(*parts: str | bytes) -> str:
    """Sixteen hexadecimal digits that name ``parts``: equal parts in equal order give equal digits."""
    return fingerprint_of(parts)


def fingerprint_of(parts: Iterable[str | bytes]) -> str:
    """:func:`fingerprint` of parts that are read one by one."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:16]
