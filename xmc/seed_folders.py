"""A folder of runs that differ in their seed alone, ``seed-0``, ``seed-1`` and so on (``--seeds``)."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from xmc.errors import DataError

__all__ = ["run_of_seeds", "seed_folder", "seed_runs"]

_log = logging.getLogger(__name__)


def seed_folder(folder: str | Path, seed: int) -> Path:
    """Where the run of a seed is."""
    return Path(folder) / f"seed-{seed}"


def seed_runs(folder: str | Path) -> list[Path]:
    """The finished runs of a folder of seeds, by seed; empty where the folder is none of seeds.

    Raises:
        DataError: When none of its runs is finished.
    """
    found = _of_seeds(folder)
    finished = [path for path in found if (path / "result.json").is_file()]
    if found and not finished:
        raise DataError(
            f"expected finished runs in {folder}, got {len(found)} that are not: train them first"
        )
    if len(finished) < len(found):
        left = ", ".join(path.name for path in found if path not in finished)
        _log.warning("%s: not finished, left out: %s", folder, left)
    return finished


def run_of_seeds(path: str | Path) -> str | None:
    """What to name in place of a folder of seeds, to go after "but"; None where ``path`` is none."""
    found = _of_seeds(path)
    return f"{path} is a folder of seeds: name one of its runs, such as {found[0]}" if found else None


def _of_seeds(folder: str | Path) -> list[Path]:
    """The runs in a folder of seeds, by seed, finished or not; empty for any other folder."""
    if (Path(folder) / "config.yaml").is_file():
        return []
    named = [(re.fullmatch(r"seed-(\d+)", path.name), path) for path in Path(folder).glob("seed-*")]
    return [path for _, path in sorted((int(name[1]), path) for name, path in named if name)]
