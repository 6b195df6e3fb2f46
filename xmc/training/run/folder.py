"""The folder of a run: made anew, resumed, or refused when something is in the way."""

from __future__ import annotations

import dataclasses
import shutil
from fnmatch import fnmatch
from pathlib import Path

import yaml

from xmc.errors import ConfigError
from xmc.files import atomic_file
from xmc.training.config import TrainConfig
from xmc.training.run.config import RunOptions
from xmc.training.run.lock import LOCK_FILES, FolderLock, lock_folder

__all__ = ["open_run_folder", "prepare_run_folder", "save_config"]

OWN = (
    "config.yaml",
    "model",
    "models",
    "last",
    "checkpoints",
    "metrics.jsonl",
    "changes.jsonl",
    "tensorboard",
    "xmc",
    "report",
    "result.json",
    "machine.json",
    "evaluations",
    "index",
    "label_memory-*.bin",
)
"""What runs write, and what is made of them: names, or patterns of names."""


def open_run_folder(options: RunOptions) -> FolderLock:
    """Lock and prepare ``options.dir``; the lock is to be released when the run is over.

    Raises:
        ConfigError: As :func:`.lock.lock_folder` and :func:`prepare_run_folder`.
    """
    folder = Path(options.dir)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"run.dir: expected a folder, but {folder} is a file")
    new, unlocked = not folder.exists(), not (folder / LOCK_FILES[0]).exists()
    lock = lock_folder(folder)
    try:
        prepare_run_folder(options)
    except BaseException:
        lock.release()
        if unlocked:  # a folder that is refused is left as it was
            (folder / LOCK_FILES[0]).unlink(missing_ok=True)
        if new:
            folder.rmdir()
        raise
    return lock


def prepare_run_folder(options: RunOptions) -> Path:
    """Make ``options.dir``, or clear it of an earlier run when asked to.

    Raises:
        ConfigError: When an earlier run or other files are in the way.
    """
    folder = Path(options.dir)
    found = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    found = [name for name in found if name not in LOCK_FILES]
    for name in [name for name in found if name.startswith(".") and name.endswith(".partial")]:
        _remove(folder / name)  # what a killed run was writing
        found.remove(name)
    if options.resume and "config.yaml" not in found:
        raise ConfigError(
            f"run.resume: expected an earlier run in {folder}, found none; train without run.resume"
        )
    if options.resume and "result.json" in found:
        raise ConfigError(
            f"run.resume: expected an unfinished run in {folder}, but it is finished; choose another folder, "
            "or give --run.overwrite true to start over"
        )
    if options.overwrite:
        own = [name for name in found if any(fnmatch(name, pattern) for pattern in OWN)]
        for name in own:
            _remove(folder / name)
        found = [name for name in found if name not in own]
    if found and not options.resume:
        raise ConfigError(
            f"run.dir: expected {folder} to be new or empty, but it holds {', '.join(found[:3])}; choose "
            "another folder, or give --run.resume true to go on or --run.overwrite true to start over"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def save_config(config: TrainConfig, path: Path) -> None:
    """Write every option, defaults included, as a recipe that trains the same run again."""
    with atomic_file(path) as temporary:
        temporary.write_text(yaml.safe_dump(dataclasses.asdict(config), sort_keys=False), encoding="utf-8")
