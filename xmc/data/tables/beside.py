"""A table of labels beside a file of clicks, where it says more of the labels than the clicks do."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from xmc.data.tables.columns import LABEL_NAMES, find_columns, has_names
from xmc.data.tables.folder import label_tables
from xmc.data.tables.source import TextOptions
from xmc.data.tables.sources import open_source
from xmc.data.tables.values import as_text
from xmc.errors import XMCError

__all__ = ["are_ids", "labels_beside"]

_READ_ROWS = 10_000
_READ_NAMES = 1_000


def labels_beside(path: Path, names: Sequence[str]) -> Path | None:
    """The table of labels in the folder of ``path`` that has texts for the labels it names, or None.

    It is named as one, and its uids are these names for the most part; or the names are ids
    (:func:`are_ids`), which need a text, and it has a column of uids. Of a table the first 10,000 rows are
    read; one that cannot be read is passed over.

    Args:
        path: A file of clicks.
        names: Of the labels, as the clicks have them.
    """
    known, second = set(names), None
    with suppress(XMCError, OSError):
        for table in label_tables(path.absolute().parent):
            if table.name == path.name:
                continue
            uids = _uids(table)
            if 2 * len(uids & known) >= max(1, min(len(uids), len(known))):
                return table
            second = second or (table if uids else None)
    return second if are_ids(names) else None


def are_ids(names: Sequence[str]) -> bool:
    """Whether most of the first 1,000 names are ids, not texts: one word, with a digit or without letters."""
    some = names[:_READ_NAMES]
    return 2 * sum(map(_is_id, some)) > len(some)


def _is_id(name: str) -> bool:
    return len(name.split()) == 1 and (any(map(str.isdigit, name)) or not any(map(str.isalpha, name)))


def _uids(path: Path) -> set[str]:
    """The first uids of a table of labels that has texts beside them; none of any other table."""
    with suppress(XMCError, OSError):
        source = open_source(path, TextOptions())
        header = source.names or [cell.strip() for cell in source.sample[0]]
        if source.names is None and not has_names(header, LABEL_NAMES, {}):
            return set()
        places = find_columns(str(path), header, LABEL_NAMES, {})
        if "uid" in places and len(places) > 1:
            records = source.records([places["uid"]], header=source.names is None, progress=False)
            return {as_text(uid) for (uid,) in islice(records, _READ_ROWS)}
    return set()
