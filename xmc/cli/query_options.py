"""The options that say how queries are read from a file, of `xmc predict` and `xmc search`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import jsonargparse

from xmc.errors import ConfigError

if TYPE_CHECKING:
    from xmc.prediction import Query

__all__ = ["add_query_options", "check_query_options", "queries_of"]


def add_query_options(parser: jsonargparse.ArgumentParser) -> None:
    """--format and --column."""
    parser.add_argument(
        "--format",
        default="auto",
        choices=("auto", "text", "csv", "tsv", "jsonl"),
        help="Of the queries; by the file's ending by default, and text, one a line, for any other.",
    )
    parser.add_argument(
        "--column",
        type=str | None,
        default=None,
        help="The column of the queries; by default query or text, else title and content.",
    )


def check_query_options(options: jsonargparse.Namespace, source: str) -> None:
    """Refuse, before a model is loaded, a file that is not there and a column of plain text.

    Raises:
        ConfigError: Naming it.
    """
    if source != "-" and not Path(source).is_file():
        kind = "is a folder" if Path(source).is_dir() else "does not exist"
        raise ConfigError(f"expected a file of queries, or - for standard input, but {source} {kind}")
    queries_of(options, source)


def queries_of(options: jsonargparse.Namespace, source: str) -> Iterator[Query]:
    """The queries, read as they are asked for."""
    from xmc.prediction.queries import read_queries

    return read_queries(source, options.format, options.column)
