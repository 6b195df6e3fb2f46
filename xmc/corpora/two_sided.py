"""Writes data sets whose queries are of another kind than their labels."""

from __future__ import annotations

from collections.abc import Callable

from xmc.corpora.item_to_item import ItemSplit
from xmc.data.writer import DatasetWriter

__all__ = ["write_sides"]


def write_sides(
    writer: DatasetWriter,
    split: ItemSplit,
    *,
    query: Callable[[int], tuple[str, str, str]],
    label: Callable[[int], tuple[str, str, str]],
) -> None:
    """Write labels and rows, in order of position.

    Args:
        writer: Takes them.
        split: Of the queries; what they refer to are positions among the labels.
        query: Uid, title and content of the query at a position.
        label: The same of a label.
    """
    label_of = {i: writer.add_label(*label(i)) for i in split.labels}
    for name, rows in split.rows.items():
        for i, targets in rows.items():
            writer.add_row(name, *query(i), [label_of[target] for target in targets])
