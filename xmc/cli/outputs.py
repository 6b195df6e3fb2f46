"""Refuses an output file that cannot be written before the work it is for, rather than after."""

from __future__ import annotations

import os
from pathlib import Path

from xmc.errors import ConfigError

__all__ = ["check_output_file", "check_output_place"]


def check_output_file(option: str, path: str | None) -> None:
    """Check that a file can be written to ``path``; None is no file.

    Raises:
        ConfigError: Naming ``option``, when it is a folder or its folder cannot be written.
    """
    if path is None:
        return
    if Path(path).is_dir():
        raise ConfigError(f"{option}: expected a file to write, but {path} is a folder: name a file in it")
    check_output_place(option, path)


def check_output_place(option: str, path: str) -> None:
    """Check that something can be made at ``path``.

    Raises:
        ConfigError: Naming ``option``, when what it would be made in is a file or cannot be written.
    """
    parent = next(place for place in Path(path).absolute().parents if place.exists())
    if not parent.is_dir():
        raise ConfigError(
            f"{option}: expected a folder above {path}, but {parent} is a file: choose another place"
        )
    if not os.access(parent, os.W_OK):
        raise ConfigError(
            f"{option}: expected to write {path}, but {parent} is not writable: choose another place"
        )
