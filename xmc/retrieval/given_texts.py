"""What is told of the texts of a table's labels: which are empty, and whether there is a column of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from xmc.counted import agreeing, counted
from xmc.data.tables import Columns, TextOptions
from xmc.data.tables.columns import LABEL_NAMES, find_columns, has_names
from xmc.data.tables.sources import open_source
from xmc.errors import DataError

__all__ = ["check_text_columns", "warn_of_empty_texts"]

_log = logging.getLogger(__name__)


def check_text_columns(path: Path, columns: Columns, written: TextOptions) -> None:
    """Log that uids are the texts where they are all there is.

    Raises:
        DataError: When there is no column of texts, but one that may be one by another name.
    """
    source, told = open_source(path, written), columns.told(LABEL_NAMES)
    names = source.names
    if names is None:
        names = [cell.strip() for cell in source.sample[0]]
        if not has_names(names, LABEL_NAMES, told):
            return  # by place: uid, title and content
    places = find_columns(str(path), names, LABEL_NAMES, told)
    if not {"title", "content"} & places.keys():
        if len(names) > len(places):
            raise DataError(
                f"{path}: expected a column with the labels' texts, such as title, the file has "
                f"{', '.join(map(repr, names))}: say which it is (--columns title=NAME), or leave out all "
                "but the uids, which are the texts then"
            )
        _log.warning("%s: no column of texts, so that the uid of a label is its text", path)


def warn_of_empty_texts(where: str, uids: Sequence[str], texts: Sequence[str]) -> None:
    """Log how many labels have no text."""
    empty = [uid for uid, text in zip(uids, texts, strict=True) if not text.strip()]
    if empty:
        _log.warning(
            "%s: %s of %s %s no text, such as %.80r: a label without one fits every query alike; "
            "give it a text or leave it out",
            *(where, f"{len(empty):,}", counted(len(uids), "label"), agreeing(len(empty), "has", "have")),
            empty[0],
        )
