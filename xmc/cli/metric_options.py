"""The options that ``xmc evaluate`` and ``xmc score`` share, and how their results are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jsonargparse

from xmc.cli.outputs import check_output_file
from xmc.data.propensity import Propensity
from xmc.errors import ConfigError
from xmc.files import atomic_file

if TYPE_CHECKING:
    from xmc.evaluation import Evaluation

__all__ = ["add_metric_options", "check_metric_options", "given_propensity", "show"]


def add_metric_options(parser: jsonargparse.ArgumentParser) -> None:
    """--split, --ks, --recall_ks, --propensity and --json."""
    parser.add_argument("--split", default="test", choices=("test", "train"), help="Whose queries.")
    parser.add_argument(
        "--ks",
        type=list[int],
        default=[1, 3, 5],
        help="Cut-offs of P, nDCG, PSP and PSnDCG (default: 1,3,5).",
    )
    parser.add_argument(
        "--recall_ks",
        type=list[int],
        default=[10, 100],
        help="Cut-offs of recall, MRR, MAP, coverage and reach (default: 10,100).",
    )
    parser.add_argument(
        "--propensity",
        type=float,
        nargs=2,
        metavar=("A", "B"),
        help="Constants of the propensity-scored metrics; the data set's by default.",
    )
    parser.add_argument("--json", default=None, help="Also write the metrics to this JSON file.")


def check_metric_options(options: jsonargparse.Namespace) -> None:
    """Refuse, before any work, what cannot be.

    Raises:
        ConfigError: Naming the option.
    """
    check_output_file("--json", options.json)
    for name in ("ks", "recall_ks"):
        if not options[name] or min(options[name]) < 1:
            raise ConfigError(f"--{name}: expected cut-offs of 1 and more, got {options[name]}")
    given_propensity(options)


def given_propensity(options: jsonargparse.Namespace) -> Propensity | None:
    """The constants that were given, or None for the data set's own.

    Raises:
        ConfigError: When they are negative or not finite.
    """
    return Propensity(*options.propensity) if options.propensity else None


def show(result: Evaluation, json_file: str | None) -> None:
    """Print the table and the propensity constants; write JSON where asked."""
    print(result.table())
    constants = result.propensity
    print(f"propensity A {constants['a']}, B {constants['b']}: {result.propensity_source}")
    if json_file:
        with atomic_file(json_file) as partial:
            partial.write_text(result.to_json() + "\n", encoding="utf-8")
