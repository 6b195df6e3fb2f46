"""``xmc report``: a page about one run, or about several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xmc.cli.comparison_options import add_comparison_options
from xmc.cli.outputs import check_output_place
from xmc.cli.parser import make_parser, parse
from xmc.errors import ConfigError

__all__ = ["run"]


def run(arguments: Sequence[str]) -> None:
    """Write the page, the same as Markdown, and its numbers as JSON."""
    parser = make_parser(
        "report",
        "Write report.html (one self-contained page), report.md and report.json about runs on a split:\n"
        "metrics with intervals, learning curves, who is helped, scores, calibration, queries,\n"
        "configuration, data, hardware and cost. What a run has not been evaluated on is ranked first and\n"
        "kept in its folder.",
        "xmc report runs/a runs/b --out reports/a-b",
    )
    parser.add_argument(
        "runs",
        nargs="+",
        help="Run folders, models or predictions (as xmc score reads); first the baseline.",
    )
    parser.add_argument("--out", default=None, help="A folder; report/ in the run's own when left out.")
    add_comparison_options(parser.add_argument)
    parser.add_argument(
        "--untrained",
        action="store_true",
        help="Put the encoder that the first run began with before it, as the baseline; it is ranked anew.",
    )
    parser.add_argument("--shown", type=int, default=3, help="Worst and best queries shown.")
    options = parse(parser, arguments)
    if options.shown < 0:
        raise ConfigError(f"--shown: expected 0 or more, got {options.shown}")
    out = _out(options.out, options.runs)
    check_output_place("--out", str(out / "report.html"))

    from xmc.reports.svg import check_plotting

    check_plotting()

    from xmc.cli.recipe_defaults import recipe_defaults
    from xmc.data import Dataset
    from xmc.reports import build_report, dataset_of, open_systems, open_untrained, write_report

    dataset = Dataset.load(options.dataset or dataset_of(options.runs))
    systems = open_systems(options.runs, dataset, options.split)
    if options.untrained:
        systems.insert(0, open_untrained(options.runs[0], dataset, options.split))
    report = build_report(
        systems,
        dataset,
        split=options.split,
        shown=options.shown,
        seed=options.seed,
        defaults=recipe_defaults(),
    )
    print(f"{report.verdict_text()}\n\n{report.summary_table()}")
    for path in write_report(report, out):
        print(path)


def _out(out: str | None, runs: Sequence[str]) -> Path:
    if out is not None:
        return Path(out)
    if len(runs) == 1 and (Path(runs[0]) / "config.yaml").is_file():
        return Path(runs[0]) / "report"
    raise ConfigError(
        "expected --out FOLDER, as there is not exactly one run whose folder could hold the report"
    )
