"""``xmc data import``: files or a folder into a prepared data set."""

from __future__ import annotations

from collections.abc import Sequence

from xmc.cli.outputs import check_output_place
from xmc.cli.parser import make_parser, parse
from xmc.cli.table_options import TABLE_HELP, add_split_options, add_table_options, table_options

__all__ = ["run"]

_DESCRIPTION = """Import clicks and labels in tables (CSV, TSV, JSON Lines, Parquet), a folder,
a Hugging Face dataset (--format hub) or Annif's documents (annif): docs/your-data.md, docs/data-formats.md.

Tables: a row a click (columns query and label), or a list of labels in a row (column labels, a|b|c). Columns
are found by their names; count or weight, query_uid and query_content may be there too."""


def run(arguments: Sequence[str]) -> None:
    """Import what the arguments name, and describe it."""
    from xmc.data import Propensity, describe
    from xmc.data.preparing import INPUT_FORMATS, prepare

    parser = make_parser(
        "data import",
        _DESCRIPTION,
        "xmc data import clicks.csv data/shop --labels products.csv --split 0.1\n"
        "  xmc data import downloads/LF-AmazonTitles-131K data/amazontitles-131k --format xc",
        usage="xmc data import SOURCE [SOURCE ...] OUT [options]",
    )
    parser.add_argument(
        "source", nargs="+", help="A folder, files of clicks, or a Hugging Face dataset's name."
    )
    parser.add_argument("out", help="The folder to make.")
    parser.add_argument(
        "--format", default="auto", choices=INPUT_FORMATS, help="Told from the files by default."
    )
    parser.add_argument(
        "--language",
        default=None,
        help="Of the labels in an Annif vocabulary, which --labels names; en by default.",
    )
    parser.add_argument("--name", default=None, help="The data set's name; the source's by default.")
    add_split_options(parser)
    parser.add_argument(
        "--propensity",
        type=float,
        nargs=2,
        metavar=("A", "B"),
        help="Constants of the propensity-scored metrics; known benchmarks have theirs, others 0.55 1.5.",
    )
    parser.add_argument("--overwrite", action="store_true", help="Replace the data set that is there.")
    add_table_options(parser, shown=TABLE_HELP in arguments)
    parser.add_argument(
        "--part",
        default="train",
        choices=("train", "test", "labels"),
        help="What SOURCE is, a file or the clicks of a folder: test makes a data set to evaluate on,\n"
        "labels one to index.",
    )
    if TABLE_HELP in arguments:
        print(parser.format_help())
        return
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
        options=table_options(options),
        format=options.format,
        language=options.language,
        name=options.name,
        propensity=Propensity(*options.propensity) if options.propensity else None,
        overwrite=options.overwrite,
    )
    print(describe(dataset).table())
