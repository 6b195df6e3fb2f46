"""What data sets of items that refer to items have in common: the split, the labels, the self-pairs.

As in the item-to-item sets of the extreme classification repository, an item is a query and a label alike;
the pairs (row, its own label) are left out of every ranking, and a label is an item that at least one
*training* point refers to: test pairs with other labels are dropped, as are test points without any left.
Where relations have two directions, one of which would give the other away, `split_relations` keeps to what
training has told of neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from xmc.data.manifest import Split
from xmc.data.writer import DatasetWriter

__all__ = ["ItemSplit", "split_items", "split_relations", "write_items"]


@dataclass(frozen=True)
class ItemSplit:
    """Which items are points of which split, and which are labels."""

    rows: dict[Split, dict[int, list[int]]]
    """Per split: the position of each point, with the positions of the items it refers to, ascending."""
    labels: list[int]
    """Positions of the items that are labels, ascending."""
    num_dropped: int
    """Links of test points to items that no training point refers to."""
    known: dict[Split, dict[int, list[int]]] = field(default_factory=dict)
    """Per split: for a point the training points that refer to it and are not among its labels."""
    num_known: int = 0
    """Links of test points to training points that refer back to them."""


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


def split_relations(links: Sequence[Sequence[int]], is_test: Sequence[bool]) -> ItemSplit:
    """Split N items with links to others, so that no relation is on both sides in its two directions.

    A test point's link to a training point that refers back to it is no label of it: training had the pair.
    Such pairs are `ItemSplit.known`, to be left out of rankings, as is a training point's own pair with
    another that refers to it alone. (The filter of LF-AmazonTitles-131K holds the same pairs, but keeps them
    as test labels, which no system can then rank.)

    Args:
        links: For each item the positions of those it refers to.
        is_test: For each item whether it belongs to the test side.
    """
    referring: list[list[int]] = [[] for _ in links]
    for i, targets in enumerate(links):
        for target in targets if not is_test[i] else ():
            referring[target].append(i)
    own = [
        sorted(set(targets) - set(referring[i]) if is_test[i] else targets) for i, targets in enumerate(links)
    ]
    split = split_items(own, is_test)
    known: dict[Split, dict[int, list[int]]] = {
        name: {i: sorted(set(referring[i]) - set(targets)) for i, targets in rows.items()}
        for name, rows in split.rows.items()
    }
    num_known = sum(map(len, links)) - sum(map(len, own))
    return replace(split, known=known, num_known=num_known)


def write_items(writer: DatasetWriter, split: ItemSplit, text: Callable[[int], tuple[str, str, str]]) -> None:
    """Write labels, rows, self-pairs and known pairs, in order of position.

    Args:
        writer: Takes them.
        split: Of the items.
        text: Uid, title and content of the item at a position.
    """
    label_of = {i: writer.add_label(*text(i)) for i in split.labels}
    for name, rows in split.rows.items():
        for i, targets in rows.items():
            row = writer.add_row(name, *text(i), [label_of[target] for target in targets])
            for other in (i, *split.known.get(name, {}).get(i, ())):
                if other in label_of:
                    writer.add_filter(name, row, label_of[other])
