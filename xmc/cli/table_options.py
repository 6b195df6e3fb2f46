"""Options of what reads tables of clicks: ``xmc data import`` and ``xmc fit``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xmc.cli.parser import nearest
from xmc.errors import ConfigError

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from xmc.data.tables import Columns, TableOptions

__all__ = ["add_split_options", "add_table_options", "table_options"]


def add_split_options(parser: ArgumentParser, share: float | None = None) -> None:
    """Add ``--split``, by default ``share``, and ``--seed``."""
    parser.add_argument(
        "--split",
        type=float,
        default=share,
        metavar="SHARE",
        help="Hold this share of the query texts out as the test split; a text is on one side alone.",
    )
    parser.add_argument("--seed", type=int, default=0, help="Of the split, and of what else is drawn.")


def add_table_options(parser: ArgumentParser) -> None:
    """Add what says where labels and test clicks are, and how tables are read."""
    tables = parser.add_argument_group("tables")
    tables.add_argument(
        "--labels",
        metavar="FILE",
        help="A table of labels (uid, title, content), or a prepared data set that has them.",
    )
    tables.add_argument("--test", nargs="+", default=[], metavar="FILE", help="Clicks to test on.")
    tables.add_argument(
        "--columns",
        nargs="+",
        default=[],
        metavar="WHAT=COLUMN",
        help="Which column is what, by name or number: query=Suchwort label=2. What: query, query_content,\n"
        "label, labels, weight, query_uid of clicks; uid, title, content of labels.",
    )
    tables.add_argument("--header", choices=("auto", "yes", "no"), default="auto", help="Of CSV files.")
    tables.add_argument("--delimiter", default=None, help="Between fields; 'tab' for a tab. Seen by default.")
    tables.add_argument("--quote", default='"', help="Around fields; 'none' where quotes mean nothing.")
    tables.add_argument("--encoding", default=None, help="Of CSV files, such as cp1252; UTF-8 by default.")
    tables.add_argument("--separator", default=None, help="Between labels in one field; | by default.")
    tables.add_argument(
        "--unknown",
        default=None,
        choices=("refuse", "skip", "add"),
        help="Clicks on labels that --labels has not: refuse them (the default), skip them, or add\n"
        "the label.",
    )
    tables.add_argument(
        "--weights",
        default="sum",
        choices=("sum", "one"),
        help="Repeated clicks: add them up as a pair's weight in training, or count a pair once.",
    )


def table_options(options: Namespace) -> TableOptions | None:
    """What is told of tables; None where nothing is."""
    from xmc.data.tables import TableOptions, TextOptions

    delimiter = {"tab": "\t", "\\t": "\t"}.get(options.delimiter, options.delimiter)
    quote = None if options.quote in ("none", "") else options.quote
    given = TableOptions(
        columns=_columns(options.columns),
        text=TextOptions(delimiter, quote, options.encoding),
        header={"auto": None, "yes": True, "no": False}[options.header],
        separator=options.separator,
        unknown=options.unknown,
        weights=options.weights,
    )
    return None if given == TableOptions() else given


def _columns(words: Sequence[str]) -> Columns:
    from xmc.data.tables import Columns

    parts = dict(word.partition("=")[::2] for word in words)
    known = list(Columns.__dataclass_fields__)
    for what, column in parts.items():
        if what not in known or not column:
            near = nearest(what, known)
            hint = (
                f"did you mean {near}=...?" if near and near != what else f"WHAT is one of {', '.join(known)}"
            )
            raise ConfigError(f"--columns: expected WHAT=COLUMN, got '{what}': {hint}")
    return Columns(**parts)
