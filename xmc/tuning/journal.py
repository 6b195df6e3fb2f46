"""Trials on disk, a line each, so that a search that was cut short goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xmc.errors import DataError
from xmc.nested import finite
from xmc.received import reading
from xmc.typed import from_plain

__all__ = ["DIVERGED", "OUT_OF_TIME", "Journal", "Trial", "counted", "shown"]

OUT_OF_TIME, DIVERGED = "out of time", "diverged"
"""Why a trial has no value."""


@dataclass(frozen=True)
class Trial:
    """A candidate and what it came to.

    Attributes:
        changes: Options that differ from the rules' recipe, by dotted name; empty for the rules' own.
        fold: Which rows were held out.
        value: The metric on them, in percent; None when it was not trained to its end.
        metrics: All of them.
        seconds: It took.
        num_steps: Steps taken.
        step_seconds: Of a step.
        ended: Why it was not, `OUT_OF_TIME`, `DIVERGED` or "refused: " and the reason; "" of one that was.
    """

    changes: dict[str, Any]
    fold: int
    value: float | None
    metrics: dict[str, float]
    seconds: float
    num_steps: int
    step_seconds: float
    ended: str = ""

    @property
    def name(self) -> str:
        """The changes in a line."""
        return (
            ", ".join(f"{name} {shown(value)}" for name, value in self.changes.items()) or "the rules' recipe"
        )


def shown(value: Any) -> Any:
    """The value of an option as a line shows it: four digits of a number with a fraction."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def counted(number: int) -> str:
    """So many trials in words."""
    return "1 trial" if number == 1 else f"{number or 'no'} trials"


class Journal:
    """The trials of ``path``, made by ``settings``; what was recorded by other settings is refused."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Read what is there.

        Raises:
            DataError: When the file is of another search, or a line of it is damaged.
        """
        self.path, self.trials = path, list[Trial]()
        header = json.dumps(finite(settings), sort_keys=True)
        if not path.is_file():
            path.write_text(header + "\n", encoding="utf-8")
            return
        first, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
        if first != header:
            raise DataError(
                f"{path}: expected the trials of this data set with these options, got those of another "
                "search: choose another --out, or remove the folder"
            )
        for line in lines:
            if line.endswith("}"):  # a killed search may leave half a line
                with reading(path, "the trials of xmc fit"):
                    self.trials.append(from_plain(Trial, json.loads(line)))
        text = "".join(json.dumps(finite(asdict(trial))) + "\n" for trial in self.trials)
        path.write_text(f"{header}\n{text}", encoding="utf-8")

    @property
    def seconds(self) -> float:
        """What all trials took."""
        return sum(trial.seconds for trial in self.trials)

    def find(self, changes: Mapping[str, Any], fold: int) -> Trial | None:
        """The trial of a candidate, where it was made already."""
        return next((t for t in self.trials if t.changes == changes and t.fold == fold), None)

    def add(self, trial: Trial) -> None:
        """Keep a trial."""
        self.trials.append(trial)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite(asdict(trial))) + "\n")
