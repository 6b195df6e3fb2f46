"""SHA-256 of files in threads: while they are opened, or from before what opens them is even imported."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import NamedTuple

from xmc.files import sha256_file

__all__ = ["sha256_ahead", "sha256_in_background"]

_HASHED_AT_ONCE = 64 << 20
"""Bytes. A thread that has hashed them waits for its turn beside those that run Python, up to some hundredths
of a second where these import: a few large pieces are done sooner than many small ones."""

_THREADS = 2


class _Digest(NamedTuple):
    sha256: str
    file: tuple[int, ...]
    """What tells the file from one that took its place, or was written over."""


_ahead: dict[str, Future[_Digest]] = {}
"""Begun by `sha256_ahead`, by the real path of the file; each is given out once."""


@contextmanager
def sha256_ahead(paths: Sequence[Path]) -> Iterator[None]:
    """Begin the SHA-256 of files that the block will ask :func:`sha256_in_background` for.

    What is begun here is taken there, once, where the file is still the same one and as it was; else it is
    read again. Files that the block does not ask for are let go at its end.

    Args:
        paths: The first are hashed first.
    """
    # Whoever goes on meanwhile has much to do, too, and is not to share its core where there are two.
    with _Pool(max(1, min(_THREADS, _cores() - 1))) as pool:
        begun = {os.path.realpath(path): pool.begin(path) for path in paths}
        _ahead.update(begun)
        try:
            yield
        finally:
            for place, digest in begun.items():
                if _ahead.get(place) is digest:
                    del _ahead[place]


@contextmanager
def sha256_in_background(paths: Sequence[Path]) -> Iterator[Callable[[Path], str]]:
    """Begin the SHA-256 of files in two threads, the largest first; what is yielded waits for that of one.

    Reading and hashing leave Python to others meanwhile.

    Raises:
        OSError: From what is yielded, when the file cannot be read.
    """
    with _Pool(_THREADS) as pool:
        taken = {path: _ahead.pop(os.path.realpath(path), None) for path in paths}
        missing = sorted((path for path in paths if taken[path] is None), key=os.path.getsize, reverse=True)
        begun = {path: pool.begin(path) for path in missing}

        def digest_of(path: Path) -> str:
            if (ahead := taken[path]) is None:
                return begun[path].result().sha256
            if ahead.cancel():  # not begun yet: rather than wait for its turn
                return _hashed(path, Event()).sha256
            try:
                digest = ahead.result()
            except (CancelledError, OSError):
                return sha256_file(path)
            return digest.sha256 if digest.file == _identity(os.stat(path)) else sha256_file(path)

        yield digest_of


class _Pool:
    """Threads that hash files, in the order they are given; on leaving, what is not done is given up."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads)
        self._left = Event()

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._threads.shutdown(cancel_futures=True)

    def begin(self, path: Path) -> Future[_Digest]:
        """Hash one file more."""
        return self._threads.submit(_hashed, path, self._left)


def _hashed(path: Path, left: Event) -> _Digest:
    """The SHA-256 of a file, mapped rather than read: that saves copying it."""
    with open(path, "rb") as file:
        before = _identity(os.fstat(file.fileno()))
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # an empty file, or one of a file system that maps none
            return _Digest(sha256_file(path), before)
        digest = hashlib.sha256()
        with mapped, memoryview(mapped) as content:
            for start in range(0, len(content), _HASHED_AT_ONCE):
                if left.is_set():
                    raise CancelledError
                with content[start : start + _HASHED_AT_ONCE] as part:
                    digest.update(part)
    return _Digest(digest.hexdigest(), before)


def _cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _identity(facts: os.stat_result) -> tuple[int, ...]:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
