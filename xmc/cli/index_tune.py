"""``xmc index tune``: recall and speed of an index over its search parameters, and the setting to keep."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jsonargparse

from xmc.cli.outputs import check_output_file
from xmc.cli.parser import make_parser, parse
from xmc.cli.query_options import add_query_options, check_query_options, queries_of
from xmc.errors import ConfigError

if TYPE_CHECKING:
    from xmc.retrieval.label_index import LabelIndex
    from xmc.retrieval.tune import Trial

__all__ = ["run"]


def run(arguments: Sequence[str]) -> None:
    """Measure, print a table, and keep the fastest setting that reaches --recall."""
    parser = make_parser(
        "index tune",
        "Measure recall against exact search and queries a second over an index's search parameters\n"
        "(nprobe, efSearch, candidates to score), and keep the fastest setting that reaches --recall.\n"
        "With --kinds, --storages and --refine others are built in memory, measured beside it, and not kept.",
        "xmc index tune runs/demo-index --recall 0.99 --queries queries.csv --plot front.svg",
    )
    parser.add_argument("index", help="An index folder.")
    parser.add_argument("--recall", type=float, default=0.99, help="To reach, at -k; 0.99 by default.")
    parser.add_argument("-k", type=int, default=10, help="Labels of a search.")
    parser.add_argument(
        "--queries",
        type=str | None,
        default=None,
        help="A file of texts, or a prepared data set, whose test rows are taken; by default texts of\n"
        "labels are searched for, which are easier to find than what users type.",
    )
    add_query_options(parser.add_argument)
    parser.add_argument("--most", type=int, default=1000, help="Queries to measure with, evenly spread.")
    parser.add_argument(
        "--kinds", nargs="+", default=[], help="Kinds to measure beside it, such as: exact flat ivf hnsw."
    )
    parser.add_argument(
        "--storages",
        nargs="+",
        default=["float32"],
        choices=("float32", "float16", "int8"),
        help="Measure each of --kinds with vectors stored so, where it has vectors beside FAISS; without\n"
        "--kinds the index's own kind.",
    )
    parser.add_argument(
        "--refine",
        action="store_true",
        help="Measure compressed kinds also with their candidates scored by vectors beside them.",
    )
    parser.add_argument(
        "--plot", type=str | None, default=None, help="Draw the front into this .svg or .png."
    )
    parser.add_argument("--dry-run", action="store_true", help="Measure, and leave the index as it is.")
    options = parse(parser, arguments)
    if options.k < 1 or options.most < 1:
        raise ConfigError(f"expected -k and --most of at least 1, got {options.k} and {options.most}")
    check_output_file("--plot", options.plot)
    if options.plot is not None:
        from xmc.plots import check_plot_place

        check_plot_place(options.plot, "--plot")
    if options.queries is not None and not Path(options.queries).is_dir():
        check_query_options(options, options.queries, options.index)

    from xmc.retrieval.kind_variants import kind_variants
    from xmc.retrieval.label_index import LabelIndex
    from xmc.retrieval.tune import cheapest, check_recall

    check_recall(options.recall)
    kind_variants(options.kinds, options.storages, options.refine)  # before anything takes time
    index = LabelIndex.load(options.index)
    trials = _measured(index, options)
    own = [trial for trial in trials if trial.build_seconds is None]
    chosen, best = cheapest(own, options.recall), cheapest(trials, options.recall)
    print(_table(trials, chosen, options.k))
    if options.plot is not None:
        from xmc.retrieval.tune_plot import plot_trials

        plot_trials(trials, options.plot, k=options.k, recall=options.recall)
    if chosen is None:
        highest = max(trial.recall for trial in own)
        print(f"no setting reaches a recall of {options.recall:g}: the highest is {highest:.4f}")
    elif chosen.parameters and not options.dry_run:
        with LabelIndex.edit(options.index) as changed:
            changed.tune(**chosen.parameters)
        print(f"kept in {options.index}: {_setting(chosen)}")
    if best is not None and best.build_seconds is not None:
        print(f"{best.kind} is faster at that recall: {_command(index, options.index, best.note)}")


def _command(index: LabelIndex, place: str, kind: str) -> str:
    """What makes an index of that kind: of the vectors where `xmc index merge` can, else of the labels."""
    if not index.manifest.has_several_texts:
        return f"xmc index merge {place} {kind} --out ..."
    return f"xmc index build {index.model_place or 'MODEL'} --labels DATA {kind} --out ..."


def _measured(index: LabelIndex, options: jsonargparse.Namespace) -> list[Trial]:
    from dataclasses import replace

    import numpy as np

    from xmc.retrieval.kind_variants import kind_variants
    from xmc.retrieval.tune import exact_twin, measure_index, remade

    queries = index.encoder.encode_queries(_texts(index, options))
    exact = exact_twin(index)
    rows, _ = exact.search_vectors(queries, min(options.k, len(index)))
    live = index.live_ids
    trials = list(measure_index(index, queries, np.where(rows < 0, -1, live[rows])))
    kinds, own = options.kinds, index.manifest
    if not kinds and (options.refine or options.storages != ["float32"]):
        kinds = [own.factory if own.kind == "factory" else own.kind]
    for variant in kind_variants(kinds, options.storages, options.refine):
        if not options.kinds and (variant.storage, variant.refine) == (own.storage, own.refine):
            continue  # the index itself
        started = time.perf_counter()
        other = remade(exact, **variant._asdict())
        seconds = time.perf_counter() - started
        found = measure_index(other, queries, rows, build_seconds=seconds)
        trials += [replace(trial, note=variant.options) for trial in found]
    return trials


def _texts(index: LabelIndex, options: jsonargparse.Namespace) -> list[str]:
    """At most --most texts, evenly spread over those there are."""
    import numpy as np

    texts: Sequence[str]
    if options.queries is None:
        texts = [index.texts[label] for label in index.live_ids.tolist()]
    elif Path(options.queries).is_dir():
        from xmc.data import Dataset

        texts = index.encoder.query_texts(Dataset.load(options.queries), "test")
    else:
        model = index.encoder.metadata
        texts = [query.text for query in queries_of(options, options.queries, model)]
    rows = np.unique(np.linspace(0, len(texts) - 1, min(len(texts), options.most)).astype(int)).tolist()
    asked = [text for row in rows if (text := texts[row]).strip()]
    if not asked:
        raise ConfigError("expected at least one query to measure with, got none")
    return asked


def _table(trials: Sequence[Trial], chosen: Trial | None, k: int) -> str:
    from xmc.retrieval.tune import front

    best = {id(trial) for trial in front(trials)}
    lines = [
        f"| kind | setting | recall@{k} | queries/s | one query, ms | MB | build, s | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for trial in trials:
        built = "" if trial.build_seconds is None else f"{trial.build_seconds:.1f}"
        mark = "chosen" if trial is chosen else "front" if id(trial) in best else ""
        lines.append(
            f"| {trial.kind} | {_setting(trial)} | {trial.recall:.4f} | {trial.queries_per_second:,.0f} | "
            f"{trial.milliseconds:.2f} | {trial.megabytes:,.1f} | {built} | {mark} |"
        )
    return "\n".join(lines)


def _setting(trial: Trial) -> str:
    return ", ".join(f"{name}={value}" for name, value in trial.parameters.items()) or "all labels"
