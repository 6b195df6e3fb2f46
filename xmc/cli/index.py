"""``xmc index``: a model and a data set's labels in, a FAISS label index out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xmc.cli.outputs import check_output_place
from xmc.cli.parser import make_parser, parse
from xmc.errors import ConfigError
from xmc.files import check_replaceable

__all__ = ["run"]


def run(arguments: Sequence[str]) -> None:
    """Encode the labels of ``--labels`` and save their index in ``--out``."""
    parser = make_parser(
        "index",
        "Encode a data set's labels and build a FAISS index of them.",
        "xmc index runs/demo --labels data/api-docs --out runs/demo-index",
    )
    parser.add_argument("model", help="A run folder, a model folder, a hub name, or `embedded`.")
    parser.add_argument("--labels", required=True, help="A prepared data set's folder.")
    parser.add_argument("--out", required=True, help="The index folder to make.")
    parser.add_argument("--factory", default="Flat", help="FAISS's factory string: Flat is exact.")
    parser.add_argument(
        "--ensemble",
        default="none",
        choices=("none", "auto"),
        help="auto adds the vote of training queries, and the words that texts share, where the rows that "
        "the run held out say so.",
    )
    parser.add_argument("--metric", default="nDCG@5", help="What --ensemble auto is chosen by.")
    parser.add_argument("--overwrite", action="store_true", help="Replace the index when it is there.")
    options = parse(parser, arguments)

    check_output_place("--out", options.out)
    if options.ensemble == "auto" and not (Path(options.model) / "config.yaml").is_file():
        raise ConfigError(
            f"--ensemble auto: expected a run's folder, which knows the rows it held out, got {options.model}"
        )

    from xmc.retrieval.label_index import INDEX_MARKS, LabelIndex

    check_replaceable(options.out, *INDEX_MARKS, overwrite=options.overwrite)
    # The model goes in by its place, not loaded, so that the index remembers it and `xmc search` finds it.
    index = LabelIndex.build(options.model, options.labels, factory=options.factory)
    if options.ensemble == "auto":
        from xmc.data import Dataset
        from xmc.prediction.ensembling import choose_for_run

        chosen, votes = choose_for_run(options.model, options.labels, metric=options.metric)
        index.add_ensemble(chosen.options, votes)
        print(f"{chosen.table()}\nbeside the labels' own scores: {chosen.options}")
        calibration = chosen.calibration(Dataset.load(options.labels), index.manifest.model_fingerprint)
    index.save(options.out, overwrite=options.overwrite)
    if options.ensemble == "auto" and chosen.options and calibration is not None:
        calibration.save(Path(options.out) / "calibration.json")
    print(f"{len(index):,} labels in {options.out}")
