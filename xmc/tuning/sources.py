"""What a fit's data were made of: a fit that goes on must have been given the same."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from xmc.errors import ConfigError
from xmc.files import atomic_file, sha256_file
from xmc.received import read_json, reading

__all__ = ["check_sources", "write_sources"]


def write_sources(path: Path, files: Mapping[str, Iterable[str | Path]], options: Mapping[str, Any]) -> None:
    """Write the content of files and the options that they were read with.

    Args:
        path: The JSON file to write.
        files: By what they are; of a folder, all files in it count.
        options: Plain values.
    """
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(_record(files, options), indent=2), encoding="utf-8")


def check_sources(path: Path, files: Mapping[str, Iterable[str | Path]], options: Mapping[str, Any]) -> None:
    """Refuse other files and options than :func:`write_sources` wrote; a file that was moved is the same.

    Raises:
        ConfigError: Naming what differs.
        DataError: When the record is damaged.
    """
    if not path.is_file():  # of a fit by a version that kept none
        return
    with reading(path, "what a fit was made of"):
        before = dict(read_json(path))
    now = json.loads(json.dumps(_record(files, options)))
    differing = [name for name in now if now[name] != before.get(name)]
    if differing:
        raise ConfigError(
            f"out: expected what the fit in {path.parent} was begun with, got another "
            f"{' and '.join(differing)}: choose another folder, or remove that one"
        )


def _record(files: Mapping[str, Iterable[str | Path]], options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: [_contents(Path(place)) for place in places] for name, places in files.items()} | dict(
        options
    )


def _contents(place: Path) -> Any:
    """SHA-256 of a file, or by name of all files in a folder."""
    if not place.is_dir():
        return sha256_file(place) if place.is_file() else str(place)
    files = (file for file in sorted(place.rglob("*")) if file.is_file())
    return {file.relative_to(place).as_posix(): sha256_file(file) for file in files}
