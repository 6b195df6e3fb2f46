"""What a run came to: ``result.json`` in its folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from xmc.files import atomic_file
from xmc.received import read_json, reading

__all__ = ["TrainResult", "is_trained", "read_result", "save_result"]

_FILE = "result.json"


@dataclass(frozen=True)
class TrainResult:
    """What a run came to.

    Attributes:
        model_path: The best model by validation; the last one when nothing was validated.
        last_path: The model after the last step.
        num_steps: Optimiser steps in all.
        best_step: The step of the best model.
        validation: Its validation metrics in percent, empty when nothing was validated.
        seconds: Wall time of the steps and validations of this process.
        rows_per_second: Training queries over the time of the steps alone.
        kept: The best models, the best first: path, step and validation metrics of each.
        stopped: Why the run ended before its last step, or None.
        skipped_steps: Steps that changed nothing, as their loss or gradient was not finite.
        changes: What the run was resumed with in place of its configuration, and at which step; see
            :func:`xmc.training.run.changes.read_changes`.
        plugins: Your own code that took part; see :func:`xmc.training.run.origins.origins`.
    """

    model_path: Path
    last_path: Path
    num_steps: int
    best_step: int
    validation: dict[str, float]
    seconds: float
    rows_per_second: float
    kept: list[dict[str, Any]] = field(default_factory=list)
    stopped: str | None = None
    skipped_steps: int = 0
    plugins: list[dict[str, str]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)


def save_result(result: TrainResult, folder: Path) -> None:
    """Write ``result.json`` into a run's folder, which is then finished."""
    with atomic_file(folder / _FILE) as temporary:
        temporary.write_text(json.dumps(asdict(result), default=str, indent=2), encoding="utf-8")


def is_trained(folder: Path) -> bool:
    """Whether a run's folder is that of a finished run."""
    return (folder / _FILE).is_file()


def read_result(folder: Path, mend: str) -> TrainResult:
    """What :func:`save_result` wrote.

    Args:
        folder: Of the run.
        mend: What to do about a damaged file.

    Raises:
        DataError: When it is damaged.
    """
    file = folder / _FILE
    with reading(file, "a run's result", mend):
        content = read_json(file)
        content |= {name: Path(content[name]) for name in ("model_path", "last_path")}
        content["kept"] = [{**model, "path": Path(model["path"])} for model in content["kept"]]
        return TrainResult(**content)
