"""One writer for a run folder: a second one is refused with the process that has it.

The lock is the kernel's (``flock``; on Windows a locked byte), on ``.lock`` in the folder, so that it is free
the moment its process is gone, however it ended. ``.writer.json`` beside it only says who has it.
"""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from xmc.errors import ConfigError
from xmc.received import read_json

__all__ = ["LOCK", "LOCK_FILES", "FolderLock", "lock_folder"]

LOCK, WRITER = ".lock", ".writer.json"
LOCK_FILES = (LOCK, WRITER)


@dataclass(frozen=True)
class FolderLock:
    """A run folder that this process alone writes to, until :meth:`release` or its end."""

    folder: Path
    lock: FileLock

    def release(self) -> None:
        """Let others write; again and again does no harm."""
        if self.lock.is_locked:
            (self.folder / WRITER).unlink(missing_ok=True)
            self.lock.release()


def lock_folder(folder: str | Path) -> FolderLock:
    """Take the lock of a run folder, which is made where it is not there yet.

    Raises:
        ConfigError: When another process has it, with its id and host; when nothing can be written there.
    """
    folder = Path(folder)
    lock = FileLock(folder / LOCK, timeout=0, thread_local=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        me = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        (folder / WRITER).write_text(json.dumps(me), encoding="utf-8")
    except Timeout:
        raise ConfigError(
            f"run.dir: expected {folder} to have no writer, but {_writer(folder)} writes to it: wait for it, "
            "end it, or choose another folder"
        ) from None
    except OSError as error:
        lock.release()
        raise ConfigError(
            f"run.dir: expected a folder that can be written, but {folder} cannot ({error.strerror}): choose "
            "another"
        ) from error
    return FolderLock(folder, lock)


def _writer(folder: Path) -> str:
    try:
        said = read_json(folder / WRITER)
        return f"process {said['pid']} on {said['host']} (since {said['since']})"
    except (OSError, ValueError, KeyError, TypeError):  # it has the lock, and has not said so yet
        return "another process"
