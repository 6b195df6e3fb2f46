"""``xmc compare``: two runs, models or files of predictions on the same queries."""

from __future__ import annotations

from collections.abc import Sequence

from xmc.cli.comparison_options import add_comparison_options
from xmc.cli.outputs import check_output_file
from xmc.cli.verb_options import VerbOptions
from xmc.errors import ConfigError
from xmc.files import atomic_file
from xmc.retrieval.files_ahead import checksums_ahead

__all__ = ["run"]


def run(arguments: Sequence[str]) -> None:
    """Print the difference of every metric with interval and p-value, and the queries that changed most."""
    with checksums_ahead(arguments, with_runs=True):
        _run(arguments)


def _run(arguments: Sequence[str]) -> None:
    parser = VerbOptions(
        "compare",
        "Compare two rankings of the same queries: for every metric the difference (second less first) with\n"
        "a 95 % interval (percentile bootstrap over queries, paired) and a p-value (paired sign-flip test),\n"
        "wins, losses and ties; and the queries that changed most. What a run has not been evaluated on is\n"
        "ranked first and kept in its folder.",
        "xmc compare runs/a runs/b --json comparison.json",
    )
    parser.add_argument("first", help="A run folder, a model or predictions: the baseline.")
    parser.add_argument("second", help="What is compared with it.")
    add_comparison_options(parser.add_argument)
    parser.add_argument("--by", default="nDCG@5", help="The metric that says how much a query changed.")
    parser.add_argument("--shown", type=int, default=3, help="Queries shown that gained, and that lost.")
    parser.add_argument("--json", default=None, help="Also write everything to this JSON file.")
    options = parser.parse(arguments)
    check_output_file("--json", options.json)
    if options.shown < 0:
        raise ConfigError(f"--shown: expected 0 or more, got {options.shown}")

    from xmc.data import Dataset
    from xmc.reports import compare, dataset_of, open_systems

    sources = [options.first, options.second]
    dataset = Dataset.load(options.dataset or dataset_of(sources))
    first, second = open_systems(sources, dataset, options.split)
    result = compare(
        first,
        second,
        dataset,
        split=options.split,
        by=options.by,
        shown=options.shown,
        seed=options.seed,
    )
    print(result.table())
    if changes := result.changes():
        print(f"\n{changes}")
    if options.json:
        with atomic_file(options.json) as partial:
            partial.write_text(result.to_json() + "\n", encoding="utf-8")
