"""``xmc bench search``: what exact search costs beside the plain product, on this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from xmc.cli.outputs import check_output_file
from xmc.cli.parser import make_parser, parse
from xmc.errors import ConfigError
from xmc.files import atomic_file

__all__ = ["run"]


def run(arguments: Sequence[str]) -> None:
    """Measure, print a Markdown table, and write JSON where asked."""
    parser = make_parser(
        "bench search",
        "Time exact search for the k best of L labels, in units of the plain product of queries and labels\n"
        "on the same threads (OMP_NUM_THREADS), and read its peak memory. L x D floats are held in memory.",
        "xmc bench search --num_queries 10000 --num_labels 1000000 --json search.json",
        usage="xmc bench search [options]",
    )
    parser.add_argument("what", choices=["search"], help="search")
    parser.add_argument("--num_queries", type=list[int], default=[2_000], help="Values of N.")
    parser.add_argument("--num_labels", type=list[int], default=[131_072], help="Values of L.")
    parser.add_argument("--dimension", type=int, default=384, help="D (default: 384).")
    parser.add_argument("--k", type=int, default=100, help="Labels to keep (default: 100).")
    parser.add_argument(
        "--repeats", type=int, default=3, help="Runs of each; the fastest counts (default: 3)."
    )
    parser.add_argument("--json", default=None, help="Write the figures to this file too.")
    options = parse(parser, arguments)
    check_output_file("--json", options.json)
    _check([*options.num_queries, *options.num_labels, options.dimension, options.k, options.repeats])

    from xmc.bench import cases_as_json
    from xmc.bench.search import bench_search, search_table

    cases = bench_search(
        options.num_queries,
        options.num_labels,
        dimension=options.dimension,
        k=options.k,
        repeats=options.repeats,
        progress=True,
    )
    print(search_table(cases))
    if options.json:
        with atomic_file(options.json) as partial:
            text = json.dumps(cases_as_json(cases), indent=2)
            Path(partial).write_text(text + "\n", encoding="utf-8")


def _check(numbers: list[int]) -> None:
    if min(numbers) < 1:
        raise ConfigError(f"expected numbers of at least 1, got {min(numbers)}")
