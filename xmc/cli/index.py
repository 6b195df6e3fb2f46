"""``xmc index``: build a label index; the other files have what is done with one over its life."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xmc.cli import index_edit, index_info, index_merge, index_tune
from xmc.cli.index_options import add_kind_options
from xmc.cli.outputs import check_output_place
from xmc.cli.parser import make_parser, nearest, parse
from xmc.counted import counted
from xmc.errors import ConfigError
from xmc.files import check_replaceable

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

__all__ = ["run"]

_HELP = """usage: xmc index {build,add,update,remove,info,merge,tune} ...

Label indexes: folders that `xmc search` and `xmc predict` search.

commands:
  build   encode labels and index them (`xmc index MODEL --labels DATA --out INDEX` is the same)
  add     labels more, without training; others may search meanwhile
  update  other texts for labels that are there
  remove  labels that are gone, by uid or id
  info    what an index is made of, and how it differs from a data set
  merge   one index of several, such as shards built by ranks or machines
  tune    measure recall and speed over search parameters, and keep the fastest that is good enough

example:
  xmc index build runs/demo --labels data/api-docs --out runs/demo-index"""


def run(arguments: Sequence[str]) -> None:
    """Dispatch to ``build``, ``add`` and the others; without one of them it is ``build``."""
    words = list(arguments)
    verbs = {
        "build": _build,
        "add": index_edit.run_add,
        "update": index_edit.run_update,
        "remove": index_edit.run_remove,
        "info": index_info.run,
        "merge": index_merge.run,
        "tune": index_tune.run,
    }
    if not words or words[0] in ("-h", "--help"):
        print(_HELP)
    elif words[0] in verbs:
        verbs[words[0]](words[1:])
    else:
        near = nearest(words[0], verbs)
        if near and not words[0].startswith("-") and not Path(words[0]).exists():
            raise ConfigError(f"unknown command 'index {words[0]}': did you mean '{near}'?")
        _build(words)


def _build_parser() -> ArgumentParser:
    parser = make_parser(
        "index build",
        "Encode labels and index them.",
        "xmc index build runs/demo --labels data/api-docs --out runs/demo-index",
    )
    parser.add_argument("model", help="A run folder, a model folder, a hub name, or `embedded`.")
    parser.add_argument(
        "--labels",
        required=True,
        help="A prepared data set's folder, or a table of labels (uid, title, content).",
    )
    parser.add_argument("--out", required=True, help="The index folder to make.")
    add_kind_options(parser, "flat by default")
    parser.add_argument("--factory", type=str | None, default=None, help="As --kind.")
    parser.add_argument(
        "--dimensions",
        type=int | None,
        default=None,
        metavar="D",
        help="Keep the first D components of each vector, for a model trained with encoder.dimensions.",
    )
    parser.add_argument(
        "--shard",
        type=str | None,
        default=None,
        metavar="K/N",
        help="Only part K of N, from 1; `rank` takes both from RANK and WORLD_SIZE, and adds the part\n"
        "to --out: runs/index becomes runs/index-1-of-4. `xmc index merge` puts them together.",
    )
    parser.add_argument(
        "--ensemble",
        default="none",
        choices=("none", "auto"),
        help="auto adds the vote of training queries, the words that texts share, and a classifier of words\n"
        "for each label, where the rows that the run held out say so.",
    )
    parser.add_argument("--metric", default="nDCG@5", help="What --ensemble auto is chosen by.")
    parser.add_argument("--overwrite", action="store_true", help="Replace the index when it is there.")
    return parser


def _build(arguments: Sequence[str]) -> None:
    """Encode the labels of ``--labels`` and save their index in ``--out``."""
    options = parse(_build_parser(), arguments)
    if options.kind is not None and options.factory is not None:
        raise ConfigError("expected --kind or --factory, which are the same, got both")
    part = None if options.shard is None else index_merge.shard_of(options.shard)
    out = options.out
    if part is not None and options.shard == "rank":
        out = f"{out}-{part[0] + 1}-of-{part[1]}"
    check_output_place("--out", out)
    if options.ensemble == "auto" and not (Path(options.model) / "config.yaml").is_file():
        raise ConfigError(
            f"--ensemble auto: expected a run's folder, which knows the rows it held out, got {options.model}"
        )
    if options.ensemble == "auto" and part is not None:
        raise ConfigError("--ensemble auto: expected an index of all labels, got --shard")
    if options.ensemble == "auto" and not Path(options.labels).is_dir():
        raise ConfigError(
            "--ensemble auto: expected in --labels the prepared data set that the run was trained on, whose "
            f"held-out rows decide, got {options.labels}"
        )

    from xmc.retrieval.label_index import INDEX_MARKS, LabelIndex

    check_replaceable(out, *INDEX_MARKS, overwrite=options.overwrite)
    if options.ensemble == "auto":
        from xmc.prediction.ensembling import rows_to_choose_on

        rows_to_choose_on(options.model, options.labels, metric=options.metric)
    # The model goes in by its place, not loaded, so that the index remembers it and `xmc search` finds it.
    index = LabelIndex.build(
        options.model,
        options.labels,
        kind=options.kind or options.factory or "flat",
        storage=options.storage or "float32",
        refine=options.refine,
        part=part,
        dimensions=options.dimensions,
    )
    if options.ensemble == "auto":
        from xmc.data import Dataset
        from xmc.prediction.ensembling import choose_for_run

        chosen, beside = choose_for_run(
            options.model, options.labels, metric=options.metric, dimensions=options.dimensions
        )
        index.add_ensemble(beside.options, beside.votes, beside.classifiers)
        print(f"{chosen.table()}\nbeside the labels' own scores: {chosen.options}")
        calibration = chosen.calibration(Dataset.load(options.labels), index.manifest.model_fingerprint)
    index.save(out, overwrite=options.overwrite)
    (Path(out) / "calibration.json").unlink(missing_ok=True)  # of what was there before
    if options.ensemble == "auto" and chosen.options and calibration is not None:
        calibration.save(Path(out) / "calibration.json")
    print(f"{counted(len(index), 'label')} in {out}")
