"""A folder whose content is replaced while others read it: each save is a folder of its own, and a pointer.

``current.json`` names the generation that holds; it is replaced in one step. A reader that has opened an old
generation has it in memory or mapped, and goes on with it. The generation before the current one stays on
disk, for readers that are just opening it; older ones are removed at the next save. Where a file that is open
cannot be removed (Windows), it is tried again at the save after.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from xmc.errors import DataError, XMCError
from xmc.files import atomic_file, atomic_folder, explained
from xmc.received import check_inside, read_json, reading

__all__ = ["POINTER", "current_generation", "locked", "publish", "write_first"]

POINTER = "current.json"
_NAME = re.compile(r"generation-[0-9]{6,12}")
_LOCK = ".lock"
_WAIT_SECONDS = 60.0


def current_generation(path: str | Path) -> str:
    """The name of the folder in ``path`` that holds; "" for a folder of version 2, which is its own.

    Raises:
        DataError: When the pointer is not readable or leads nowhere.
    """
    pointer = Path(path) / POINTER
    if not pointer.is_file():
        return ""
    with reading(pointer, "the pointer of a label index", "build the index again"):
        content = read_json(pointer)
        name = content.get("generation") if isinstance(content, dict) else None
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"generation: got {name!r:.80}")
        if (Path(path) / name).is_dir():
            check_inside(Path(path) / name, Path(path))
    return name


def write_first(path: Path, write: Callable[[Path], None], *, overwrite: bool = False) -> str:
    """Make ``path`` with a first generation, whole or not at all; its name.

    Raises:
        XMCError: As `atomic_folder`.
    """
    name = _name(1)
    with atomic_folder(path, overwrite=overwrite) as folder:
        (folder / name).mkdir()
        write(folder / name)
        _point(folder, name)
    return name


def publish(path: Path, write: Callable[[Path], None], expected: str | None) -> str:
    """Write a new generation into a folder that has one, make it the current one, and return its name.

    Args:
        path: A folder with a pointer, or of version 2.
        write: Writes the files of a generation into the folder it is given.
        expected: The generation that the new one was made from; None when it was made from none.

    Raises:
        DataError: When another generation than ``expected`` is there by now; nothing is written then.
        XMCError: When the disk is full.
    """
    with locked(path):
        try:
            now = current_generation(path)
        except DataError:  # a damaged pointer is replaced
            now = expected or ""
        if expected is not None and now != expected:
            raise DataError(
                f"the index {path} was changed by another process since it was opened (expected "
                f"{expected or 'version 2'}, got {now}): open it again and repeat the change"
            )
        taken = [int(folder.name.partition("-")[2]) for folder in _generations(path)]
        name = _name(max(taken, default=0) + 1)
        partial = path / f".{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed: it held this lock
        try:
            with explained(path):
                partial.mkdir()
                write(partial)
                partial.rename(path / name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        _point(path, name)
        _clean(path, {name, now})
    return name


def locked(path: Path) -> FileLock:
    """Held while a folder is changed, so that changes of several processes come one after the other.

    Whoever holds it may take it again in the same thread.

    Raises:
        XMCError: On entering, when another process has held it for a minute.
    """
    return _Lock(path / _LOCK, timeout=_WAIT_SECONDS, is_singleton=True)


class _Lock(FileLock):
    def __enter__(self) -> _Lock:
        try:
            super().__enter__()
        except Timeout:
            raise XMCError(
                f"expected to change {Path(self.lock_file).parent}, but another process has been changing it "
                "for a minute: wait for it"
            ) from None
        return self


def _name(number: int) -> str:
    return f"generation-{number:06d}"


def _generations(path: Path) -> list[Path]:
    return [folder for folder in path.iterdir() if _NAME.fullmatch(folder.name) and folder.is_dir()]


def _point(path: Path, name: str) -> None:
    with atomic_file(path / POINTER) as file:
        file.write_text(json.dumps({"generation": name}) + "\n", encoding="utf-8")


def _clean(path: Path, kept: set[str]) -> None:
    for folder in _generations(path):
        if folder.name not in kept:
            shutil.rmtree(folder, ignore_errors=True)
    for name in ("manifest.json", "index.faiss", "labels.parquet"):  # of version 2
        (path / name).unlink(missing_ok=True)
