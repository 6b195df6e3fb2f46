"""What a table is that is named alone: its columns tell clicks from labels, where its name says labels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from xmc.data.tables.columns import CLICK_NAMES, LABEL_NAMES, find_columns, has_names
from xmc.data.tables.folder import is_named_as_labels, is_named_as_test
from xmc.data.tables.importing import TableFiles, TableOptions
from xmc.data.tables.sources import open_source

__all__ = ["table_alone"]

_log = logging.getLogger(__name__)


def table_alone(path: Path, options: TableOptions) -> TableFiles:
    """A single file as clicks to train on, or as labels where name and columns say so.

    Args:
        path: A table.
        options: How it is read.

    Raises:
        DataError: When there is no such file, its beginning cannot be read, or a told column is not in it.
    """
    if is_named_as_labels(path) and not _has_clicks(path, options):
        return TableFiles(labels=path, by_name=True)
    if is_named_as_test(path):
        _log.warning("%s: taken for training rows, as a file alone: --part test makes test rows of it", path)
    return TableFiles(train=[path])


def _has_clicks(path: Path, options: TableOptions) -> bool:
    """Whether a table has a column of queries and one of labels, by their names or as told.

    A title beside an id, as a table of labels has them, is none: told columns alone make clicks of these.
    """
    told = options.columns.told(CLICK_NAMES)
    if told.keys() & {"label", "labels"}:
        return True
    source = open_source(path, options.text)
    header = source.names
    if header is None:
        header = [cell.strip() for cell in source.sample[0]]
        if not (has_names(header, CLICK_NAMES, told) if options.header is None else options.header):
            return False
    if not told and _names_labels(path, header):
        return False
    clicks = find_columns(str(path), header, CLICK_NAMES, told)
    return "query" in clicks and bool({"label", "labels"} & clicks.keys())


def _names_labels(path: Path, header: Sequence[str]) -> bool:
    """Whether what would be a click's label and query are named as a label's id and its title."""
    places = find_columns(str(path), header, LABEL_NAMES, {})
    if not {"uid", "title"} <= places.keys():
        return False
    query = find_columns(str(path), header, {"query": CLICK_NAMES["query"]}, {}).get("query")
    uid, title = header[places["uid"]], header[places["title"]]
    is_id = "label" in find_columns(str(path), [uid], CLICK_NAMES, {})
    return is_id and query == places["title"] and title.casefold() == "title"
