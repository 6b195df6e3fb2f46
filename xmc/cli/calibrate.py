"""``xmc calibrate``: probabilities and thresholds of a model, fitted on rows it was not trained on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from xmc.cli.outputs import check_output_file
from xmc.cli.parser import make_parser, parse
from xmc.errors import ConfigError

__all__ = ["run"]


def run(arguments: Sequence[str]) -> None:
    """Fit a calibration, keep it beside the model, and print what thresholds give."""
    parser = make_parser(
        "calibrate",
        "Fit the probability that a label is right, and thresholds on scores, on rows that the model was\n"
        "not trained on: the validation rows that a run held out, or a split of a data set. `xmc predict`\n"
        "uses both.",
        "xmc calibrate runs/demo",
    )
    parser.add_argument("model", help="A run folder, or a model (with --dataset and --split).")
    parser.add_argument("--dataset", default=None, help="A prepared data set; the run's own by default.")
    parser.add_argument(
        "--split",
        default="validation",
        choices=("validation", "test", "train"),
        help="Whose rows; validation are the rows that the run held out.",
    )
    parser.add_argument("--depth", type=int, default=100, help="Labels ranked of each row (default: 100).")
    parser.add_argument(
        "--out",
        default=None,
        help="The file; calibration.json beside the model by default, if that is a folder of yours.",
    )
    options = parse(parser, arguments)
    check_output_file("--out", options.out)
    if options.depth < 1:
        raise ConfigError(f"--depth: expected 1 or more labels, got {options.depth}")

    place = _beside(options.model) if options.out is None else Path(options.out)

    from xmc.prediction import calibrate

    found = calibrate(options.model, options.dataset, split=options.split, depth=options.depth)
    found.save(place)
    print(found.table())
    print(f"calibration: {place}")


def _beside(model: str) -> Path:
    """The file beside a model, where `xmc predict` finds it.

    Raises:
        ConfigError: For a model by name, whose folder is a library's or a cache and no place of the user's,
            or a folder that cannot be written to.
    """
    kept = "give --out FILE, and name it to xmc predict with --calibration FILE"
    if not Path(model).expanduser().exists():
        raise ConfigError(
            f"expected a folder, to keep the calibration beside its model, but {model} is none: check the "
            f"path; for a model by name {kept}"
        )

    from xmc.encoders import resolve_model
    from xmc.prediction.calibration import FILE

    file = resolve_model(model) / FILE
    if not os.access(file.parent, os.W_OK):
        raise ConfigError(f"expected to write {file}, but the folder is not writable: {kept}")
    return file
