"""What data sets of items that refer to items have in common: the split, the labels, the self-pairs.

As in the item-to-item sets of the extreme classification repository, an item is a query and a label alike;
the pairs (row, its own label) are left out of every ranking, and a label is an item that at least one
*training* point refers to: test pairs with other labels are dropped, as are test points without any left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xmc.data.manifest import Split
from xmc.data.writer import DatasetWriter

__all__ = ["ItemSplit", "split_items", "write_items"]


@dataclass(frozen=True)
class ItemSplit:
    """Which items are points of which split, and which are labels."""

    rows: dict[Split, dict[int, list[int]]]
    """Per split: the position of each point, with the positions of the items it refers to, ascending."""
    labels: list[int]
    """Positions of the items that are labels, ascending."""
    num_dropped: int
    """Links of test points to items that no training point refers to."""


def split_items(links: Sequence[Sequence[int]], is_test: Sequence[bool]) -> ItemSplit:
    """Split N items with links to others; items without links are no points.

    Args:
        links: For each item the positions of those it refers to.
        is_test: For each item whether it belongs to the test side.
    """
    train = {i: sorted(targets) for i, targets in enumerate(links) if targets and not is_test[i]}
    seen = {target for targets in train.values() for target in targets}
    whole = {i: sorted(targets) for i, targets in enumerate(links) if targets and is_test[i]}
    kept = {i: [target for target in targets if target in seen] for i, targets in whole.items()}
    dropped = sum(map(len, whole.values())) - sum(map(len, kept.values()))
    test = {i: targets for i, targets in kept.items() if targets}
    return ItemSplit({"train": train, "test": test}, sorted(seen), dropped)


def write_items(writer: DatasetWriter, split: ItemSplit, text: Callable[[int], tuple[str, str, str]]) -> None:
    """Write labels, rows and self-pairs, in order of position.

    Args:
        writer: Takes them.
        split: Of the items.
        text: Uid, title and content of the item at a position.
    """
    label_of = {i: writer.add_label(*text(i)) for i in split.labels}
    for name, rows in split.rows.items():
        for i, targets in rows.items():
            row = writer.add_row(name, *text(i), [label_of[target] for target in targets])
            if i in label_of:
                writer.add_filter(name, row, label_of[i])
