"""All that serving knows of an index folder: its version, how it is opened, how it is changed.

A change is a new generation in the folder, and a pointer to it that is replaced in one step. A folder built
anew is replaced as a whole, in two renames: between them it is absent, and files read on both sides of them
may be of two versions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from xmc.encoders import DualEncoder
from xmc.errors import DataError, IndexMismatchError, XMCError
from xmc.retrieval import LabelIndex
from xmc.retrieval.generations import POINTER, locked

__all__ = ["locked_folder", "open_folder", "version_of"]

_MARKS = (POINTER, "manifest.json")
"""What is replaced with every version; the second in folders of before there were generations."""
_PAUSE = 0.05
_TRIES = 20


def version_of(folder: Path) -> str | None:
    """Names what lies in the folder now; None while there is no index.

    A mark is written once for each version: its inode, size and time (nanoseconds) tell it from any other.
    """
    for name in _MARKS:
        try:
            facts = (folder / name).stat()
        except OSError:
            continue
        return f"{facts.st_ino}-{facts.st_size}-{facts.st_mtime_ns}"
    return None


def open_folder(
    folder: Path, encoder: DualEncoder | None = None, *, only: bool = False
) -> tuple[LabelIndex, str]:
    """The index in a folder, with its model ready, and its version.

    Args:
        folder: The index folder.
        encoder: A loaded model, used again where the index is of that model.
        only: Refuse an index of another model, rather than load that.

    Raises:
        XMCError: As `LabelIndex.load` does, of a folder that did not change meanwhile.
    """
    failure: XMCError = DataError(
        f"expected a label index at {folder}, but it changes faster than it is read"
    )
    for _ in range(_TRIES):
        before = version_of(folder)
        try:
            index = _open(folder, encoder, only)
        except XMCError as error:
            # Nothing there may be the moment between two renames; a version that stayed is what it is.
            failure = error
            if before is not None and version_of(folder) == before:
                raise
        else:
            if before is not None and version_of(folder) == before:
                return index, before
        time.sleep(_PAUSE)
    raise failure


def _open(folder: Path, encoder: DualEncoder | None, only: bool) -> LabelIndex:
    try:
        index = LabelIndex.load(folder, encoder)
    except IndexMismatchError:
        if encoder is None or only:
            raise
        index = LabelIndex.load(folder)
    # Towers are used by two threads: neither may switch dropout on behind the other's back.
    index.encoder.eval()
    return index


@contextmanager
def locked_folder(folder: Path) -> Iterator[Callable[[LabelIndex], str]]:
    """Keep others from changing the folder; yields what saves an index there and tells its version.

    Raises:
        XMCError: When another process has held the lock for a minute, or saving fails.
    """

    def save(index: LabelIndex) -> str:
        index.save(folder, overwrite=True)
        version = version_of(folder)
        if version is None:
            raise DataError(f"expected the index just saved in {folder}, but it is gone: who removes it?")
        return version

    with locked(folder):
        yield save
