"""Learning curves out of a run's ``metrics.jsonl``."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xmc.data.lines import LineReader
from xmc.errors import DataError
from xmc.received import reading

__all__ = ["Curve", "LearningCurves", "read_curves", "thinned"]

_TRAINING = ("loss", "learning_rate", "scale", "gradient_norm", "rows_per_second")


@dataclass(frozen=True)
class Curve:
    """A number by optimiser step."""

    steps: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, step: float, value: float) -> None:
        """Append a point."""
        self.steps.append(step)
        self.values.append(value)


@dataclass(frozen=True)
class LearningCurves:
    """The curves of a run by name: of training ("loss", ...) and of validation ("P@1", ..., percent)."""

    training: dict[str, Curve]
    validation: dict[str, Curve]


def read_curves(path: str | Path) -> LearningCurves:
    """Read a run's ``metrics.jsonl``; a last line that a killed run left unfinished is passed over.

    Raises:
        DataError: When the file is missing or another line is no JSON object with a step.
    """
    if not Path(path).is_file():
        raise DataError(f"expected a run's log in {path}, found no such file")
    curves, lines = LearningCurves({}, {}), LineReader(Path(path))
    unfinished: DataError | None = None
    with lines.located():
        for line in lines:
            if unfinished is not None:
                raise unfinished
            try:
                with reading("", "a JSON object with a step"):
                    _add(curves, json.loads(line))
            except DataError as error:
                unfinished = DataError(f"{path}, line {lines.number}: {error}")
    return curves


def thinned(curve: Curve, points: int = 300) -> Curve:
    """The curve with at most ``points`` points, each the mean of a block of neighbours."""
    size = -(-len(curve.steps) // points) if curve.steps else 1
    blocks = range(0, len(curve.steps), size)
    return Curve(
        [_mean(curve.steps[start : start + size]) for start in blocks],
        [_mean(curve.values[start : start + size]) for start in blocks],
    )


def _add(curves: LearningCurves, line: dict[str, Any]) -> None:
    step = float(line["step"])
    for name in _TRAINING:
        if line.get(name) is not None:
            curves.training.setdefault(name, Curve()).add(step, float(line[name]))
    for name, value in line.get("validation", {}).items():
        curves.validation.setdefault(name, Curve()).add(step, float(value))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
