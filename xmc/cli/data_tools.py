"""``xmc data export``, ``split-labels`` and ``drift``: what is made from a prepared data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xmc.cli.outputs import check_output_place
from xmc.cli.parser import make_parser, parse
from xmc.errors import ConfigError

__all__ = ["run_drift", "run_export", "run_split_labels"]


def run_export(arguments: Sequence[str]) -> None:
    """Write a data set in another format."""
    from xmc.data.export import EXPORT_FORMATS, export

    parser = make_parser(
        "data export",
        "Write a prepared data set as files for other tools.\n"
        "xc: the extreme classification repository's raw text and npz; jsonl: JSON Lines, which keep all;\n"
        "trec: queries, corpus and qrels.",
        "xmc data export data/shop shop-jsonl --format jsonl",
    )
    parser.add_argument("dataset", help="A prepared data set's folder.")
    parser.add_argument("out", help="The folder to make.")
    parser.add_argument("--format", required=True, choices=EXPORT_FORMATS, help="What to write.")
    parser.add_argument("--overwrite", action="store_true", help="Replace an earlier export.")
    options = parse(parser, arguments)
    check_output_place("out", options.out)
    folder = export(options.dataset, options.out, format=options.format, overwrite=options.overwrite)
    for path in sorted(folder.iterdir()):
        print(f"{path}  {path.stat().st_size:,} bytes")


def run_split_labels(arguments: Sequence[str]) -> None:
    """Hold labels out of training."""
    from xmc.data import describe
    from xmc.data.fewer_labels import without_unseen
    from xmc.data.manifest import check_place
    from xmc.data.unseen_labels import split_labels

    parser = make_parser(
        "data split-labels",
        "Write a data set in which a share of the labels has no training row, to measure how a model finds\n"
        "labels that it was never shown. Test rows keep all their labels.",
        "xmc data split-labels data/shop data/shop-unseen --unseen 0.1 --train_on data/shop-seen",
    )
    parser.add_argument("dataset", help="A prepared data set's folder.")
    parser.add_argument("out", help="The folder to make.")
    parser.add_argument("--unseen", type=float, required=True, metavar="SHARE", help="Share of the labels.")
    parser.add_argument("--seed", type=int, default=0, help="Another seed holds other labels out.")
    parser.add_argument(
        "--train_on",
        default=None,
        metavar="FOLDER",
        help="Also write the data set to train on, which has no such labels at all: in OUT they are in no\n"
        "training row, and a model learns that no query wants them.",
    )
    parser.add_argument("--overwrite", action="store_true", help="Replace the data sets that are there.")
    options = parse(parser, arguments)
    check_output_place("out", options.out)
    if options.train_on is not None:
        check_output_place("--train_on", options.train_on)
        if Path(options.train_on).resolve() == Path(options.out).resolve():
            raise ConfigError(f"--train_on: expected another folder than OUT, got {options.out} for both")
        check_place(options.train_on, overwrite=options.overwrite)
    dataset = split_labels(
        options.dataset, options.out, unseen=options.unseen, seed=options.seed, overwrite=options.overwrite
    )
    if options.train_on is not None:
        without_unseen(dataset, options.train_on, overwrite=options.overwrite)
    print(describe(dataset).table())


def run_drift(arguments: Sequence[str]) -> None:
    """Compare new data with those a model was trained on."""
    from xmc.data.drift import drift

    parser = make_parser(
        "data drift",
        "How far new data have moved from those that a model was trained on, and whether to train again.",
        "xmc data drift data/shop data/shop-june",
    )
    parser.add_argument("old", help="The prepared data set that the model was trained on.")
    parser.add_argument("new", help="A prepared data set of newer clicks.")
    options = parse(parser, arguments)
    print(drift(options.old, options.new).table())
