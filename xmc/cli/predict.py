"""``xmc predict``: the labels of texts that have none, from a file or standard input, as a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xmc.cli.outputs import check_output_file
from xmc.cli.query_options import add_device_option, add_query_options, check_query_options, queries_of
from xmc.cli.search import warn_of_no_labels
from xmc.cli.verb_options import VerbOptions
from xmc.counted import counted
from xmc.errors import ConfigError
from xmc.retrieval.files_ahead import checksums_ahead

if TYPE_CHECKING:
    from xmc.prediction.calibration import Calibration

__all__ = ["run"]

_K, _MOST = 10, 100


def run(arguments: Sequence[str]) -> None:
    """Write the labels of every query; with a threshold, those that reach it."""
    with checksums_ahead(arguments):
        _run(arguments)


def _run(arguments: Sequence[str]) -> None:
    from xmc.prediction.threshold import Threshold

    options = _options().parse(arguments)
    if options.k is not None and options.k < 1:
        raise ConfigError(f"-k: expected 1 or more labels, got {options.k}")
    threshold = None if options.threshold is None else Threshold.parse(str(options.threshold))
    check_output_file("--out", options.out)
    if options.out is not None and Path(options.out).exists() and options.file != "-":
        if Path(options.file).exists() and Path(options.out).samefile(options.file):
            raise ConfigError(f"--out: expected another file than the queries, got {options.out} for both")
    check_query_options(options, options.file, options.model)

    from xmc.encoders.cut_count import CutCount
    from xmc.prediction import find_calibration, open_labels, predict_blocks, write_predicted
    from xmc.prediction.writers import output_format

    output_format(options.out)
    index = open_labels(options.model, options.labels)
    if options.device is not None:
        index.to(options.device)
    calibration = find_calibration(index, options.calibration)
    if threshold is not None and threshold.needs_calibration and calibration is None:
        from xmc.prediction.uncalibrated import how_to_calibrate

        raise ConfigError(
            f"--threshold {options.threshold} needs a calibration, which this model has not: "
            f"{how_to_calibrate(index)}; or give --threshold score=S"
        )
    least = None if threshold is None else threshold.least_score(calibration)
    k = options.k or (_K if threshold is None else _MOST)
    warn_of_no_labels(index, options.model)
    cuts = CutCount()
    asked = queries_of(options, options.file, index.query_encoder.metadata)
    by_score = threshold is None or not threshold.needs_calibration
    blocks = predict_blocks(
        index,
        asked,
        k,
        least_score=least if by_score else None,
        least_sureness=None if by_score else least,
        calibration=calibration,
        cuts=cuts,
    )
    queries, labels = write_predicted(options.out, blocks, index)
    cuts.warn("queries")
    if options.out is not None:
        kept = "" if least is None else _kept(least, None if by_score else calibration)
        answered = counted(queries, "query", "queries")
        print(f"{answered}, {counted(labels, 'label')}{kept}: {options.out}")
    elif not queries:
        print("no queries", file=sys.stderr)


def _options() -> VerbOptions:
    options = VerbOptions(
        "predict",
        "Rank labels for texts without labels: a text file of one query a line, CSV, TSV or JSON Lines with\n"
        "a column of queries, or standard input (-). A run or a model encodes its labels first; an index\n"
        "has them ready. Probabilities stand beside scores of a model with a calibration, which a run\n"
        "with validation rows leaves.\n\n"
        "Thresholds: f1 (the greatest F1 on the calibration's rows), 0.5 (a probability), precision=0.9,\n"
        "coverage=0.8 (so many queries get a label), score=0.7. Files: .jsonl, .csv, .npz, .trec.",
        "xmc predict runs/demo queries.csv --out labels.csv --threshold f1",
    )
    options.add_argument("model", help="An index folder, a run folder, or a model (with --labels).")
    options.add_argument("file", help="The queries; - is standard input.")
    options.add_argument(
        "--out", default=None, help="The file to write; JSON Lines on standard output if none."
    )
    options.add_argument(
        "-k",
        type=int | None,
        default=None,
        help=f"Most labels of a query: {_K}, with a threshold {_MOST}.",
    )
    options.add_argument(
        "--threshold", type=str | None, default=None, metavar="T", help="Which labels are kept; see above."
    )
    options.add_argument("--labels", default=None, help="A data set with the labels; the run's by default.")
    options.add_argument(
        "--calibration", default=None, metavar="FILE", help="A file of xmc calibrate; by default the model's."
    )
    add_query_options(options.add_argument)
    add_device_option(options.add_argument)
    return options


def _kept(least: float, calibration: Calibration | None) -> str:
    """What the labels that a threshold kept have: a score, or by a judge's calibration a probability."""
    if calibration is None or calibration.judge is None:
        return f" of a score of at least {least:.4f}"
    import numpy as np

    return f" of a probability of at least {float(calibration.probability(np.array(least))):.4f}"
