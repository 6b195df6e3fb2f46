"""The options that say how queries are read from a file, of `xmc predict` and `xmc search`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xmc.cli.table_options import HEADERS, add_text_options, text_options
from xmc.errors import ConfigError

if TYPE_CHECKING:
    from xmc.prediction import Query

__all__ = ["add_device_option", "add_query_options", "check_query_options", "queries_of"]


def add_query_options(add: Callable[..., object]) -> None:
    """Add --format, --column, and how a CSV file is written, with ``add_argument``."""
    add(
        "--format",
        default="auto",
        choices=("auto", "text", "csv", "tsv", "jsonl"),
        help="By the file's ending; any other is text, one a line.",
    )
    add(
        "--column",
        type=str | None,
        default=None,
        help="The column of the queries, by name or number; by default query or text, else what the\n"
        "model was trained on of title and content.",
    )
    add(
        "--header",
        default="auto",
        choices=tuple(HEADERS),
        help="Of CSV files. auto: no, if --column is a number.",
    )
    add_text_options(add)


def add_device_option(add: Callable[..., object]) -> None:
    """Add --device with ``add_argument``."""
    add(
        "--device",
        type=str | None,
        default=None,
        help="Search every vector there, by a copy: cuda. By default as the index is made.",
    )


def check_query_options(options: Namespace, source: str) -> None:
    """Refuse, before a model is loaded, a file that is not there or has no queries, and what it cannot be.

    Raises:
        ConfigError: Naming it.
        DataError: When the file is no such table, or has no column of texts.
    """
    if source != "-" and not Path(source).is_file():
        kind = "is a folder" if Path(source).is_dir() else "does not exist"
        raise ConfigError(f"expected a file of queries, or - for standard input, but {source} {kind}")
    queries_of(options, source)


def queries_of(options: Namespace, source: str, fields: Sequence[str] | None = None) -> Iterator[Query]:
    """The queries, read as they are asked for; ``fields`` are the model's."""
    from xmc.data.tables import TextOptions
    from xmc.prediction.queries import FIELDS, read_queries

    written = text_options(options)
    return read_queries(
        source,
        options.format,
        options.column,
        fields=fields or FIELDS,
        written=None if written == TextOptions() else written,
        header=HEADERS[options.header],
    )
