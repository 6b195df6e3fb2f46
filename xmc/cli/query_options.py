"""The options that say how queries are read from a file, of `xmc predict` and `xmc search`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from xmc.cli.table_options import HEADERS, add_text_options, text_options
from xmc.errors import ConfigError

if TYPE_CHECKING:
    from xmc.encoders.metadata import EncoderMetadata
    from xmc.prediction import Query

__all__ = [
    "add_device_option",
    "add_query_options",
    "check_no_query_options",
    "check_query_options",
    "queries_of",
]


_OF_A_FILE = {
    "format": "auto",
    "column": None,
    "header": "auto",
    "delimiter": None,
    "quote": '"',
    "encoding": None,
}
"""Options of how queries are read, and what they are when not given."""


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
        help="Of the queries, by name or number; by default that of the model's own table,\n"
        "query or text, else its title and content.",
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
        help="Search every vector there, such as cuda.",
    )


def check_no_query_options(options: Namespace) -> None:
    """Refuse what is told of a file of queries where none is given.

    Raises:
        ConfigError: Naming the options.
    """
    given = [f"--{name}" for name, default in _OF_A_FILE.items() if getattr(options, name) != default]
    if given:
        raise ConfigError(
            f"{', '.join(given)}: expected a file of queries (--queries), whose form this says, got none: "
            "leave it out"
        )


def check_query_options(options: Namespace, source: str, model: str | None = None) -> None:
    """Refuse, before a model is loaded, a file that is not there or has no queries, and what it cannot be.

    Args:
        options: Of the command.
        source: The file of queries.
        model: The index, run or model that is asked: it may know what the column of queries is called.

    Raises:
        ConfigError: Naming it.
        DataError: When the file is no such table, or has no column of texts.
    """
    if source != "-" and not Path(source).is_file():
        kind = "is a folder" if Path(source).is_dir() else "does not exist"
        raise ConfigError(f"expected a file of queries, or - for standard input, but {source} {kind}")
    from xmc.retrieval.known_queries import known_metadata

    queries_of(options, source, None if model is None else known_metadata(model))


def queries_of(options: Namespace, source: str, model: EncoderMetadata | None) -> Iterator[Query]:
    """The queries, read as they are asked for, by what the model says of the fields and columns it reads."""
    from xmc.data.tables import TextOptions
    from xmc.prediction.queries import FIELDS, read_queries

    written = text_options(options)
    return read_queries(
        source,
        options.format,
        options.column,
        fields=(model and model.query_fields) or FIELDS,
        columns=(model and model.query_columns) or (),
        written=None if written == TextOptions() else written,
        header=HEADERS[options.header],
    )
