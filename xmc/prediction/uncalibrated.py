"""What to do for the calibration that an index has not: the command that makes one of its model."""

from __future__ import annotations

import shlex
from pathlib import Path

from xmc.errors import XMCError
from xmc.received import read_yaml, reading
from xmc.retrieval.label_index import LabelIndex

__all__ = ["how_to_calibrate"]


def how_to_calibrate(index: LabelIndex) -> str:
    """In words: a command, and the place of its result where that has to be named."""
    if index.manifest.ensemble or index.manifest.truncated_to is not None:
        return (
            "this index does not rank by its model's scores alone, so that one comes with it alone: build it "
            "again with `xmc index RUN --labels DATASET --ensemble auto`, from a run with held-out rows, or "
            "with `xmc fit` and more time"
        )
    place = index.model_place
    if place is None or not Path(place).exists():
        named = "MODEL" if place is None else shlex.quote(place)
        return (
            f"run `xmc calibrate {named} --dataset DATASET --split test --out FILE`, and name the file with "
            "--calibration FILE"
        )
    return f"run `xmc calibrate {shlex.quote(str(place))}{_rows(Path(place))}` first"


def _rows(model: Path) -> str:
    """Options of ``xmc calibrate``: rows a model was not trained on; none for a run that held some out."""
    from xmc.data import Dataset
    from xmc.reports import dataset_of
    from xmc.reports.stored import is_run_folder

    other = " --dataset DATASET --split test"
    if not is_run_folder(model):
        return other
    try:
        with reading(model / "config.yaml", "a run's configuration"):
            held_out = int(read_yaml(model / "config.yaml")["validation"]["rows"])
        if held_out:
            return ""
        return " --split test" if Dataset.load(dataset_of([str(model)])).num_test else other
    except XMCError:  # of a run that was moved, or whose data set was
        return other
