"""``xmc data import``: files or a folder into a prepared data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xmc.cli.outputs import check_output_place
from xmc.cli.parser import make_parser, nearest, parse
from xmc.errors import ConfigError

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from xmc.data.tables import Columns, TableOptions

__all__ = ["run"]

_DESCRIPTION = """Import clicks and labels in tables (CSV, TSV, JSON Lines, Parquet), a folder of files, or a
Hugging Face dataset by its folder or hub name with --format hub. docs/your-data.md walks through tables,
docs/data-formats.md shows each format.

Tables: a row a click (columns query and label), or a list of labels in a row (column labels, a|b|c). Columns
are found by their names; count or weight, query_uid and query_content may be there too. --header,
--delimiter, --quote and --encoding are those of SOURCE: import a table of labels that needs them on its own
(--part labels), and name that data set with --labels."""


def run(arguments: Sequence[str]) -> None:
    """Import what the arguments name, and describe it."""
    from xmc.data import Propensity, describe
    from xmc.data.prepare import INPUT_FORMATS, prepare

    parser = make_parser(
        "data import",
        _DESCRIPTION,
        "xmc data import clicks.csv data/shop --labels products.csv --split 0.1\n"
        "  xmc data import downloads/LF-AmazonTitles-131K data/amazontitles-131k --format xc",
    )
    parser.add_argument(
        "source", nargs="+", help="A folder, files of clicks, or a Hugging Face dataset's name."
    )
    parser.add_argument("out", help="The folder to make.")
    parser.add_argument(
        "--format", default="auto", choices=INPUT_FORMATS, help="Told from the files by default."
    )
    parser.add_argument("--name", default=None, help="The data set's name; the source's by default.")
    parser.add_argument(
        "--split",
        type=float,
        metavar="SHARE",
        help="Hold this share of the query texts out as the test split; a text is on one side alone.",
    )
    parser.add_argument("--seed", type=int, default=0, help="Of the split.")
    parser.add_argument(
        "--propensity",
        type=float,
        nargs=2,
        metavar=("A", "B"),
        help="Constants of the propensity-scored metrics; known benchmarks have theirs, others 0.55 1.5.",
    )
    parser.add_argument("--overwrite", action="store_true", help="Replace the data set that is there.")
    tables = parser.add_argument_group("tables")
    tables.add_argument(
        "--labels",
        metavar="FILE",
        help="A table of labels (uid, title, content), or a prepared data set that has them.",
    )
    tables.add_argument("--test", nargs="+", default=[], metavar="FILE", help="Clicks to test on.")
    tables.add_argument(
        "--part",
        default="train",
        choices=("train", "test", "labels"),
        help="What SOURCE is: test makes a data set to evaluate on, labels one to index.",
    )
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
    options = parse(parser, arguments)
    check_output_place("out", options.out)
    dataset = prepare(
        options.source,
        options.out,
        test=options.test,
        labels=options.labels,
        part=options.part,
        split=options.split,
        seed=options.seed,
        options=_table_options(options),
        format=options.format,
        name=options.name,
        propensity=Propensity(*options.propensity) if options.propensity else None,
        overwrite=options.overwrite,
    )
    print(describe(dataset).table())


def _table_options(options: Namespace) -> TableOptions | None:
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
