"""A folder of runs that differ in their seed alone, ``seed-0``, ``seed-1`` and so on (``--seeds``)."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from xmc.errors import DataError

__all__ = ["seed_folder", "seed_runs"]

_log = logging.getLogger(__name__)


def seed_folder(folder: str | Path, seed: int) -> Path:
    """Where the run of a seed is."""
    return Path(folder) / f"seed-{seed}"


def seed_runs(folder: str | Path) -> list[Path]:
    """The finished runs of a folder of seeds, by seed; empty where the folder is none of seeds.

    Raises:
        DataError: When none of its runs is finished.
    """
    named = [(re.fullmatch(r"seed-(\d+)", path.name), path) for path in Path(folder).glob("seed-*")]
    found = [path for _, path in sorted((int(name[1]), path) for name, path in named if name)]
    if not found or (Path(folder) / "config.yaml").is_file():
        return []
    finished = [path for path in found if (path / "result.json").is_file()]
    if not finished:
        raise DataError(
            f"expected finished runs in {folder}, got {len(found)} that are not: train them first"
        )
    if len(finished) < len(found):
        left = ", ".join(path.name for path in found if path not in finished)
        _log.warning("%s: not finished, left out: %s", folder, left)
    return finished
