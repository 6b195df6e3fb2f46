"""``xmc bench scoring``: what each objective costs in time and memory on this machine.

``xmc bench search``, ``spherical`` and ``step`` are modules of their own beside it.
"""

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
    if arguments[:1] == ["search"]:
        from xmc.cli.bench_search import run as run_search

        return run_search(arguments)
    if arguments[:1] == ["spherical"]:
        from xmc.cli.bench_spherical import run as run_spherical

        return run_spherical(arguments)
    if arguments[:1] == ["step"]:
        from xmc.cli.bench_step import run as run_step

        return run_step(arguments)
    parser = make_parser(
        "bench",
        "Time one forward and backward pass of every objective, in units of one plain product of queries\n"
        "and labels, and read its peak memory, beside plain autograd and the published formulas.",
        "xmc bench scoring --num_queries 256 --num_labels 16384,131072 --json scoring.json",
    )
    parser.add_argument(
        "what",
        choices=["scoring"],
        help="What to measure; or search, spherical or step: see `xmc bench search --help`.",
    )
    parser.add_argument("--num_queries", type=list[int], default=[256, 1024], help="Values of B.")
    parser.add_argument(
        "--num_labels", type=list[int], default=[16_384, 131_072, 1_000_000], help="Values of L."
    )
    parser.add_argument("--dimension", type=int, default=384, help="D (default: 384).")
    parser.add_argument("--objectives", type=list[str], default=None, help="Names; all when left out.")
    parser.add_argument(
        "--repeats", type=int, default=3, help="Runs of each; the fastest counts (default: 3)."
    )
    parser.add_argument(
        "--memory_mb", type=int, default=256, help='Megabytes of scores "tiled" may hold (default: 256).'
    )
    parser.add_argument(
        "--memory_gb",
        type=float,
        default=16.0,
        help="Dense and published are left out where they would take more (default: 16; 0: always).",
    )
    parser.add_argument("--json", default=None, help="Write the figures to this file too.")
    options = parse(parser, arguments)
    check_output_file("--json", options.json)
    _check(options.num_queries + options.num_labels + [options.dimension, options.repeats, options.memory_mb])

    from xmc.bench import bench_scoring, cases_as_json, scoring_table
    from xmc.objectives.catalogue import CATALOGUE

    unknown = sorted(set(options.objectives or ()) - set(CATALOGUE))
    if unknown:
        raise ConfigError(f"--objectives: expected names of {', '.join(CATALOGUE)}, got {', '.join(unknown)}")
    cases = bench_scoring(
        options.num_queries,
        options.num_labels,
        dimension=options.dimension,
        objectives=options.objectives,
        repeats=options.repeats,
        tile_bytes=options.memory_mb << 20,
        memory_bytes=int(options.memory_gb * 2**30),
        progress=True,
    )
    print(scoring_table(cases))
    if options.json:
        with atomic_file(options.json) as partial:
            Path(partial).write_text(json.dumps(cases_as_json(cases), indent=2) + "\n", encoding="utf-8")


def _check(numbers: list[int]) -> None:
    if min(numbers) < 1:
        raise ConfigError(f"expected numbers of at least 1, got {min(numbers)}")
