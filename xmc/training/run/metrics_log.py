"""Where a run's numbers go: ``metrics.jsonl``, and any tracker of Accelerate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from xmc.files import atomic_file, explained
from xmc.nested import finite

__all__ = ["MetricsLog"]


class MetricsLog:
    """Appends a line of JSON for each entry, and hands the numbers to the trackers; on the main rank only."""

    def __init__(self, path: Path, accelerator: Accelerator) -> None:
        self.path, self.accelerator = path, accelerator
        self.file = path.open("a", encoding="utf-8") if accelerator.is_main_process else None

    def write(self, step: int, values: dict[str, Any], prefix: str = "") -> None:
        """Write ``values`` of ``step``; nested dictionaries go to the trackers as ``outer/inner``.

        Raises:
            XMCError: When the disk is full.
        """
        if self.file is None:
            return
        numbers = {name: value for name, value in _flat(values, prefix) if isinstance(value, (int, float))}
        with explained(self.path):
            self.file.write(json.dumps({"step": step, **finite(values)}, allow_nan=False) + "\n")
            self.file.flush()
            self.accelerator.log(numbers, step=step)

    def close(self) -> None:
        """Close the file and the trackers.

        ``Accelerator.end_training`` would also end the process group, which may be the caller's.
        """
        for tracker in self.accelerator.trackers:
            tracker.finish()
        if self.file is not None:
            with explained(self.path):  # it writes again what a full disk did not take
                self.file.close()

    @staticmethod
    def truncate(path: Path, step: int) -> None:
        """Drop the lines after ``step``, which a resumed run writes again; a negative one drops all."""
        if path.is_file():
            lines = [line for line in path.read_text(encoding="utf-8").splitlines() if _is_whole(line)]
            kept = "".join(f"{line}\n" for line in lines if json.loads(line)["step"] <= step)
            with atomic_file(path) as temporary:
                temporary.write_text(kept, encoding="utf-8")


def _is_whole(line: str) -> bool:
    """Whether a line was written to its end: a killed run's last one may not be."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _flat(values: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    items: list[tuple[str, Any]] = []
    for name, value in values.items():
        items += _flat(value, f"{name}/") if isinstance(value, dict) else [(prefix + name, value)]
    return items
