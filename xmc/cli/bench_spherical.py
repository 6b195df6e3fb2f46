"""``xmc bench spherical``: the factored head beside a softmax over all labels, on this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence

from xmc.cli.outputs import check_output_file
from xmc.cli.parser import make_parser, parse
from xmc.errors import ConfigError
from xmc.files import atomic_file

__all__ = ["run"]


def run(arguments: Sequence[str]) -> None:
    """Measure, print a Markdown table, and write JSON and a plot where asked."""
    parser = make_parser(
        "bench",
        "Time one training step of an output layer: a softmax over all labels, and the factored head.",
        "xmc bench spherical --num_labels 10000,100000 --json heads.json --plot heads.svg",
        usage="xmc bench spherical [--option value ...]",
    )
    parser.add_argument("what", choices=["spherical"], help="What to measure.")
    parser.add_argument(
        "--num_labels", type=list[int], default=[10_000, 100_000, 793_471, 3_000_000], help="Values of L."
    )
    parser.add_argument("--dimensions", type=list[int], default=[256, 512], help="Values of D.")
    parser.add_argument("--num_queries", type=list[int], default=[128, 512], help="Values of B.")
    parser.add_argument("--objective", default="spherical_z_loss", help="The head's loss.")
    parser.add_argument("--steps", type=int, default=50, help="Factored steps; the median counts.")
    parser.add_argument("--repeats", type=int, default=3, help="Softmax steps; the fastest counts.")
    parser.add_argument(
        "--memory_gb", type=float, default=14.0, help="A softmax step that takes more is left out."
    )
    parser.add_argument("--json", default=None, help="Write the figures to this file too.")
    parser.add_argument("--plot", default=None, help="Draw time against L to this .svg or .png file.")
    options = parse(parser, arguments)
    numbers = [*options.num_labels, *options.dimensions, *options.num_queries, options.steps, options.repeats]
    if not numbers or min(numbers) < 1:
        raise ConfigError(f"expected numbers of at least 1, got {min(numbers)}")
    check_output_file("--json", options.json)
    check_output_file("--plot", options.plot)

    from xmc.bench import cases_as_json
    from xmc.bench.spherical import bench_spherical, growth_lines, head_table
    from xmc.bench.spherical_plot import plot_heads
    from xmc.objectives.catalogue import CATALOGUE
    from xmc.plots import check_plot_place

    known = [name for name, facts in CATALOGUE.items() if facts.takes_moments]
    if options.objective not in known:
        raise ConfigError(f"--objective: expected one of {', '.join(known)}, got {options.objective}")
    if options.plot:
        check_plot_place(options.plot, "--plot")
    cases = bench_spherical(
        options.num_labels,
        options.dimensions,
        options.num_queries,
        objective=options.objective,
        steps=options.steps,
        repeats=options.repeats,
        memory_bytes=int(options.memory_gb * 2**30),
        progress=True,
    )
    print("\n".join([head_table(cases), "", *growth_lines(cases)]))
    if options.json:
        with atomic_file(options.json) as partial:
            text = json.dumps(cases_as_json(cases, ["seconds", "speedup"]), indent=2) + "\n"
            partial.write_text(text, encoding="utf-8")
    if options.plot:
        plot_heads(cases, options.plot)
