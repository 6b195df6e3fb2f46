"""The end of a fit: its final training, which is done once, and the file that says that all of it is done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from xmc.evaluation import Evaluation
from xmc.files import atomic_file
from xmc.nested import finite
from xmc.training import TrainConfig, TrainResult, train
from xmc.training.run.result import is_trained, read_result

__all__ = ["END", "is_done", "train_once", "write_end"]

END = "fit.json"
"""What a fit came to, in its folder: written when everything else is."""


def train_once(config: TrainConfig) -> TrainResult:
    """Train, go on with a training that was cut short, or take the result of one that is finished.

    Raises:
        DataError: When the result is damaged.
        XMCError: As :func:`xmc.training.train`.
    """
    folder = Path(config.run.dir)
    if is_trained(folder):
        return read_result(folder, f"remove {folder} and fit again")
    resumed = (folder / "config.yaml").is_file()
    # Who calls a fit says how it goes on: by no option of its training.
    return train(replace(config, run=replace(config.run, resume=resumed)), go_on="")


def write_end(folder: Path, evaluations: Mapping[str, Evaluation], seconds: float, budget: float) -> None:
    """Write what a fit came to, which is done by that."""
    metrics = {name: found.metrics for name, found in evaluations.items()}
    content = finite({"metrics": metrics, "seconds": seconds, "budget": budget})
    with atomic_file(folder / END) as temporary:
        temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")


def is_done(folder: Path) -> bool:
    """Whether a folder is that of a fit that came to its end."""
    return (folder / END).is_file()
