"""The folder of a run: made anew, resumed, or refused when something is in the way."""

from __future__ import annotations

import dataclasses
import json
import shutil
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

import yaml

from xmc.errors import ConfigError
from xmc.files import atomic_file
from xmc.training.config import TrainConfig
from xmc.training.run.config import RunOptions
from xmc.training.run.lock import LOCK, LOCK_FILES, FolderLock, lock_folder

__all__ = ["open_run_folder", "prepare_run_folder", "recipe_text", "save_config"]

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
    "known_model.json",
    "evaluations",
    "index",
    "label_memory-*.bin",
    "query_vectors.npy",
    "teachers",
)
"""What runs write, and what is made of them: names, or patterns of names."""

# What a run has written when its first step begins.
_BEFORE_A_STEP = {"config.yaml", "metrics.jsonl", "tensorboard"}


def open_run_folder(options: RunOptions) -> FolderLock:
    """Lock and prepare ``options.dir``; the lock is to be released when the run is over.

    Raises:
        ConfigError: As :func:`.lock.lock_folder` and :func:`prepare_run_folder`.
    """
    folder = Path(options.dir)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"run.dir: expected a folder, but {folder} is a file")
    if not (folder / LOCK).exists():
        _refuse(options, _contents(folder))  # nobody writes there: a folder that is refused is left as it was
    lock = lock_folder(folder)
    try:
        prepare_run_folder(options)
    except BaseException:
        # The lock's file stays: of those who wait for it one may have it by now.
        lock.release()
        raise
    return lock


def prepare_run_folder(options: RunOptions) -> Path:
    """Make ``options.dir``, or clear it of an earlier run when asked to.

    Raises:
        ConfigError: When an earlier run or other files are in the way.
    """
    folder = Path(options.dir)
    found = _contents(folder)
    _refuse(options, found)
    starts_over = _starts_over(options, found)
    for name in found:
        if _is_partial(name) or (starts_over and _is_own(name)):
            _remove(folder / name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _refuse(options: RunOptions, found: list[str]) -> None:
    """Refuse a folder for what is in it, or is not."""
    folder, found = Path(options.dir), [name for name in found if not _is_partial(name)]
    if options.resume and "config.yaml" not in found:
        raise ConfigError(
            f"run.resume: expected an earlier run in {folder}, found none; train without run.resume"
        )
    if options.resume and "result.json" in found:
        raise ConfigError(
            f"run.resume: expected an unfinished run in {folder}, but it is finished; choose another folder, "
            "or give --run.overwrite true to start over"
        )
    if _starts_over(options, found):
        found = [name for name in found if not _is_own(name)]
    if found and not options.resume:
        raise ConfigError(
            f"run.dir: expected {folder} to be new or empty, but it holds {', '.join(found[:3])}; choose "
            "another folder, or give --run.resume true to go on or --run.overwrite true to start over"
        )


def _starts_over(options: RunOptions, found: list[str]) -> bool:
    """Whether what an earlier run wrote is removed: as told, or as it ended before a step and has nothing."""
    return options.overwrite or (not options.resume and _has_no_step(Path(options.dir), found))


def _has_no_step(folder: Path, found: list[str]) -> bool:
    """Whether an earlier run left what it writes before its first step, and no more."""
    whole = {name for name in found if not _is_partial(name)}
    if not whole <= _BEFORE_A_STEP or "config.yaml" not in whole:
        return False
    with suppress(OSError, ValueError, AttributeError):
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return all(json.loads(line).get("step") == 0 for line in lines)
    return "metrics.jsonl" not in whole


def _contents(folder: Path) -> list[str]:
    found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return [name for name in found if name not in LOCK_FILES]


def _is_partial(name: str) -> bool:
    """Whether it is what a killed run was writing."""
    return name.startswith(".") and name.endswith(".partial")


def _is_own(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in OWN)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def save_config(config: TrainConfig, path: Path) -> None:
    """Write every option, defaults included, as a recipe that trains the same run again."""
    with atomic_file(path) as temporary:
        temporary.write_text(recipe_text(config), encoding="utf-8")


def recipe_text(config: TrainConfig) -> str:
    """Every option, defaults included, as the YAML of a recipe."""
    # A card is written with every model that is kept: libyaml writes the same text ten times as fast.
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(dataclasses.asdict(config), Dumper=dumper, sort_keys=False)
    return text
