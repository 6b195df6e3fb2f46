"""What an importer of one source format is."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmc.data.writer import DatasetWriter
from xmc.files import sha256_file

__all__ = ["SourceFormat", "always", "file_facts", "name_as_text", "no_extra_files"]


def file_facts(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Name, size and SHA-256 of each file, for ``dataset.json``."""
    return [
        {"file": name_as_text(path.name), "bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in paths
    ]


def name_as_text(name: str) -> str:
    """A file's name, which need not be UTF-8, as text that is."""
    return os.fsencode(name).decode("utf-8", "replace")


def no_extra_files(source: str) -> Sequence[Path]:
    """For formats whose files are not known by name."""
    return ()


def always(source: str) -> bool:
    """For formats that are of training and test rows."""
    return True


@dataclass(frozen=True)
class SourceFormat:
    """A source format: how to know it, and how to read it into a :class:`DatasetWriter`."""

    name: str
    """What ``--format`` calls it."""
    looks_for: str
    """What :attr:`matches` looks for, in words, for the message when nothing fits."""
    matches: Callable[[Path], bool]
    """Whether a folder looks like it."""
    files: Callable[[str], Sequence[Path]]
    """The files that will be read, for ``dataset.json``. Raises DataError when one is missing."""
    has_test: Callable[[str], bool]
    """Whether the source has a test split."""
    read: Callable[[str, DatasetWriter, bool], None]
    """Read the source into the writer, with a progress bar or not. Raises DataError."""
