"""``xmc table``: any number of runs by metrics, with deviations over seeds, for a terminal or a paper."""

from __future__ import annotations

from collections.abc import Sequence

from xmc.cli.comparison_options import add_comparison_options
from xmc.cli.verb_options import VerbOptions
from xmc.errors import ConfigError
from xmc.retrieval.files_ahead import checksums_ahead

__all__ = ["run"]

_FORMS = ("markdown", "latex", "csv")


def run(arguments: Sequence[str]) -> None:
    """Print a row a system, and what each changes against the first."""
    with checksums_ahead(arguments, with_runs=True):
        _run(arguments)


def _run(arguments: Sequence[str]) -> None:
    parser = VerbOptions(
        "table",
        "A table of runs by metrics. A folder of seeds (xmc train --seeds) is one row, mean and standard\n"
        "deviation. Differences from the first row are tested over queries (paired) and over seeds (Welch's\n"
        "t-test), which are two questions. What a run has not been evaluated on is ranked first and kept in\n"
        "its folder.",
        "xmc table runs/base runs/new --markdown",
    )
    parser.add_argument(
        "runs", nargs="+", help="Runs, folders of seeds, models, predictions; first the baseline."
    )
    parser.add_argument(
        "--metrics", type=list[str], default=["P@1", "P@5", "PSP@5", "R@100"], help="By name, with commas."
    )
    add_comparison_options(parser.add_argument)
    for form in _FORMS:
        parser.add_argument(f"--{form}", action="store_true", help=f"Print {form} instead.")
    options = parser.parse(arguments)
    forms = [form for form in _FORMS if getattr(options, form)]
    if len(forms) > 1:
        raise ConfigError(f"expected one of --{', --'.join(_FORMS)}, got --{' and --'.join(forms)}")
    if not options.metrics:
        raise ConfigError("--metrics: expected one or more, got none")

    from xmc.data import Dataset
    from xmc.reports import dataset_of
    from xmc.reports.table import build_table
    from xmc.reports.table_text import as_text
    from xmc.seed_folders import seed_runs

    each = [str(run) for source in options.runs for run in seed_runs(source) or [source]]
    dataset = Dataset.load(options.dataset or dataset_of(each))
    table = build_table(
        options.runs, dataset, split=options.split, metrics=options.metrics, seed=options.seed
    )
    print(as_text(table, forms[0] if forms else "text"))
