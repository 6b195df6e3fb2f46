"""What a table is that is named alone: its columns tell clicks from labels, where its name says labels."""

from __future__ import annotations

import logging
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
    labels = find_columns(str(path), header, LABEL_NAMES, options.columns.told(LABEL_NAMES))
    if not told and {"uid", "title"} <= labels.keys():
        named = find_columns(str(path), [header[labels[role]] for role in ("uid", "title")], CLICK_NAMES, {})
        if named == {"label": 0, "query": 1} and header[labels["title"]].casefold() == "title":
            return False
    clicks = find_columns(str(path), header, CLICK_NAMES, told)
    return "query" in clicks and bool({"label", "labels"} & clicks.keys())
