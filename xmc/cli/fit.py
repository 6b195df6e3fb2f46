"""``xmc fit``: clicks in, a trained and measured model with an index of its labels out."""

from __future__ import annotations

import shlex
import signal
import threading
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from xmc.cli.config import read_recipe
from xmc.cli.outputs import check_output_place
from xmc.cli.parser import make_parser, parse
from xmc.cli.table_options import TABLE_HELP, add_split_options, add_table_options, table_options
from xmc.errors import ConfigError
from xmc.fit_folder import RUN

if TYPE_CHECKING:
    from xmc.tuning import FitResult

__all__ = ["run"]

_SPLIT = 0.1

_DESCRIPTION = """Choose a recipe for your data, train it, measure it and index the labels, within a time.

SOURCE is a prepared data set, a folder, or tables of clicks (CSV, TSV, JSON Lines, Parquet; see xmc data
import). Rules choose a recipe from counts and lengths; a search compares it with others on training rows
that are held out. The test split is measured at the end and decides nothing. Every choice is printed with its
reason and kept in OUT/recipe.yaml, which xmc train repeats. Ctrl-C ends the search and trains the best so
far; the same command goes on where it was cut short."""


def run(arguments: Sequence[str]) -> None:
    """Fit what the arguments name, and say where everything is."""
    parser = make_parser(
        "fit",
        _DESCRIPTION,
        "xmc fit clicks.csv --labels products.csv --out runs/shop --budget 10m",
        usage="xmc fit SOURCE [SOURCE ...] [options]",
    )
    parser.add_argument("source", nargs="+", help="A prepared data set, a folder, or files of clicks.")
    parser.add_argument("--out", default=None, help="The folder to make; runs/NAME when left out.")
    parser.add_argument(
        "--budget", default=None, help="Time for everything: 90s, 10m, 1h30m, or seconds. By quality."
    )
    parser.add_argument(
        "--quality",
        default="good",
        choices=("fast", "good", "best"),
        help="fast takes the rules' recipe; good searches for 10 minutes, best for an hour.",
    )
    parser.add_argument(
        "--metric", default="nDCG@5", help="What the search compares by: P@1, PSP@5, R@100 ..."
    )
    parser.add_argument(
        "--preset",
        default=None,
        metavar="RECIPE",
        help="Keys of this recipe stay as they are, but for its data, seed, run and validation.",
    )
    add_split_options(parser, f"\n{_SPLIT} by default, where files have no test rows.")
    add_table_options(parser, shown=TABLE_HELP in arguments)
    if TABLE_HELP in arguments:
        print(parser.format_help())
        return
    options = parse(parser, arguments)
    out = options.out or str(Path("runs") / Path(options.source[0]).resolve().name.partition(".")[0])
    check_output_place("--out", out)
    preset = read_recipe(options.preset) if options.preset else {}

    from xmc.data.preparing import is_prepared

    if options.split is not None and len(options.source) == 1 and is_prepared(Path(options.source[0])):
        raise ConfigError(
            f"--split: expected with files, but {options.source[0]} is a prepared data set, which has its "
            "splits already: leave it out"
        )
    if options.split is not None and options.test is not None:
        raise ConfigError(
            f"--split: expected no test clicks beside it, got --test {' '.join(options.test)}: leave one out"
        )
    with _ended_by_sigterm():
        result = _fit(options, out, preset)
    print(_summary(result))


def _fit(options: Namespace, out: str, preset: dict[str, Any]) -> FitResult:
    from xmc.tuning import fit
    from xmc.tuning.arguments import OWN

    return fit(
        options.source,
        out,
        labels=options.labels,
        test=options.test,
        split=_SPLIT if options.split is None else options.split,
        tables=table_options(options),
        budget=options.budget,
        quality=options.quality,
        metric=options.metric,
        # Where a recipe's data and run are is its own affair.
        fixed={name: value for name, value in preset.items() if not name.startswith(OWN)},
        seed=options.seed,
    )


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Within the block SIGTERM ends the command as Ctrl-C does, and what it made meanwhile is cleared."""

    def end(number: int, frame: object) -> NoReturn:
        from xmc.training.run.interrupt import Interrupted, Verdict

        raise Interrupted(Verdict.TERMINATE)

    if threading.current_thread() is not threading.main_thread():  # others cannot take a signal over
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _summary(result: FitResult) -> str:
    """The table, the places, and the commands to go on with."""
    from xmc.durations import duration
    from xmc.tuning.journal import counted

    folder = result.folder
    lines = ["", result.table() or "no test rows: nothing was measured", ""]
    over = (
        f" (more than its budget of {duration(result.budget)})"
        if result.seconds > 1.1 * result.budget
        else ""
    )
    changed = counted(len(result.trials))
    recipe, again, index, query = (
        shlex.quote(str(w)) for w in (folder / "recipe.yaml", folder / "again", result.index, result.example)
    )
    lines += [
        f"done in {duration(result.seconds)}{over}, {changed}",
        f"recipe  {folder / 'recipe.yaml'}",
        f"model   {folder / RUN / 'model'}",
        f"index   {result.index}",
        "",
        f"xmc search {index} {query}",
        f"xmc serve {index}",
        f"xmc train {recipe} --run.dir {again}",
    ]
    return "\n".join([*lines, *(f"note: {note}" for note in result.notes)])
