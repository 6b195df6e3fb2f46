"""Options of what reads tables of clicks: ``xmc data import`` and ``xmc fit``."""

from __future__ import annotations

from argparse import SUPPRESS, Namespace
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from xmc.cli.nearest import nearest
from xmc.errors import ConfigError

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

    from xmc.data.tables import Columns, TableOptions, TextOptions

__all__ = [
    "HEADERS",
    "TABLE_HELP",
    "add_label_columns",
    "add_split_options",
    "add_table_options",
    "add_text_options",
    "columns_option",
    "table_options",
    "text_options",
]

TABLE_HELP = "--help.tables"
"""Shows the options that most files need not: with them a help would not fit a screen."""

HEADERS = {"auto": None, "yes": True, "no": False}
"""What ``--header`` may be, and whether there is one; None to see."""

_OF_SOURCE = """--header, --delimiter, --quote and --encoding are those of SOURCE: import a table of labels
that needs them on its own (xmc data import --part labels), and name that data set with --labels."""


def add_split_options(parser: ArgumentParser, otherwise: str = "") -> None:
    """Add ``--split``, whose help ends in ``otherwise``, and ``--seed``."""
    parser.add_argument(
        "--split",
        type=float,
        default=None,
        metavar="SHARE",
        help="Hold this share of the query texts out as the test split; a text is on one side alone."
        + otherwise,
    )
    parser.add_argument("--seed", type=int, default=0, help="Of the split, and of what else is drawn.")


def add_table_options(parser: ArgumentParser, *, shown: bool) -> None:
    """Add what says where labels and test clicks are, and how tables are read: with help if ``shown``."""
    tables = parser.add_argument_group(
        "tables", _OF_SOURCE if shown else f"{TABLE_HELP} shows how they are read"
    )

    def add(*names: str, help: str, **given: Any) -> None:
        tables.add_argument(*names, help=help if shown else SUPPRESS, **given)

    tables.add_argument(
        "--labels",
        metavar="FILE",
        help="A table of labels (uid, title, content), or a prepared data set that has them.",
    )
    tables.add_argument("--test", nargs="+", default=[], metavar="FILE", help="Clicks to test on.")
    add(
        "--columns",
        nargs="+",
        default=[],
        metavar="WHAT=COLUMN",
        help="Which column is what, by name or number: query=Suchwort label=2. What: query, query_content,\n"
        "label, labels, weight, query_uid of clicks; uid, title, content of labels.",
    )
    add("--header", choices=tuple(HEADERS), default="auto", help="Of CSV files.")
    add_text_options(add)
    add("--separator", default=None, help="Between labels in one field; | by default.")
    add(
        "--unknown",
        default=None,
        choices=("refuse", "skip", "add"),
        help="Clicks on labels that --labels has not: refuse them (the default), skip them, or add\n"
        "the label.",
    )
    add(
        "--weights",
        default="sum",
        choices=("sum", "one"),
        help="Repeated clicks: add them up as a pair's weight in training, or count a pair once.",
    )
    add(
        "--own-label",
        default="auto",
        choices=("auto", "filter", "keep"),
        help="A label that is the query itself, as of related items: filter leaves it out of training and\n"
        "rankings; auto does where half of the queries are labels, at most 1 in 100 clicked for itself.",
    )


def add_text_options(add: Callable[..., object]) -> None:
    """Add what says how a CSV file is written, with ``add_argument`` or the like."""
    add("--delimiter", default=None, help="Between fields; 'tab' for a tab. Seen by default.")
    add("--quote", default='"', help="Around fields; 'none' where quotes mean nothing.")
    add("--encoding", default=None, help="Of CSV files, such as cp1252; UTF-8 by default.")


def text_options(options: Namespace) -> TextOptions:
    """How a CSV file is written, as told."""
    from xmc.data.tables import TextOptions

    delimiter = {"tab": "\t", "\\t": "\t"}.get(options.delimiter, options.delimiter)
    return TextOptions(delimiter, None if options.quote in ("none", "") else options.quote, options.encoding)


def table_options(options: Namespace) -> TableOptions | None:
    """What is told of tables; None where nothing is."""
    from xmc.data.tables import TableOptions

    given = TableOptions(
        columns=_columns(options.columns),
        text=text_options(options),
        header=HEADERS[options.header],
        separator=options.separator,
        unknown=options.unknown,
        weights=options.weights,
        own_label=options.own_label,
    )
    return None if given == TableOptions() else given


def add_label_columns(parser: ArgumentParser) -> None:
    """--columns of a table of labels, and how it is written; read by `columns_option`, `text_options`."""
    parser.add_argument(
        "--columns",
        nargs="+",
        default=[],
        metavar="WHAT=COLUMN",
        help="Which column of a table is the uid, title or content: uid=sku title=Name.",
    )
    add_text_options(parser.add_argument)


def columns_option(words: Sequence[str]) -> Columns | None:
    """Which column is what, as told; None where nothing is."""
    return _columns(words) if words else None


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
