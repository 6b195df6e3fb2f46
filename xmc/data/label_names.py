"""What the names of labels tell that were made of clicks alone: that they are numbers, or several in one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from xmc.data.dataset import Dataset

__all__ = ["LabelNames", "label_names", "separator_of"]

SEPARATORS = (";", "|", ",", "\t")
"""What may stand between labels of one field."""
_LEAST_SHARE, _LEAST_USES = 0.2, 3
_NUMBER = re.compile(r"-?\d[\d.,]*")


@dataclass(frozen=True)
class LabelNames:
    """Of labels whose text is their uid, as they are without a table of labels."""

    num_numbers: int
    """That are a number, where half of them or more are; otherwise 0."""
    separator: str | None
    """What seems to stand between several labels of one name."""
    example: str
    """A name with it, or a number."""


def label_names(dataset: Dataset) -> LabelNames:
    """What the names of a data set's labels tell; nothing where any label has a text besides its uid."""
    names = list(dataset.uids("labels"))
    if not names or any(map(str.__ne__, names, dataset.texts("labels"))):
        return LabelNames(0, None, "")
    numbers = [name for name in names if _NUMBER.fullmatch(name.strip())]
    if 2 * len(numbers) >= len(names):
        return LabelNames(len(numbers), None, numbers[0])
    separator = separator_of(names)
    if separator is None:
        return LabelNames(0, None, "")
    return LabelNames(0, separator, next(name for name in names if separator in name))


def separator_of(names: Sequence[str]) -> str | None:
    """The separator that a fifth of the names have, whose parts come again, and in any place.

    Parts, without their white space, are used three times on average, and half of them are first in one name
    and later in another, as labels of a list are. A name of one thing may hold a comma or a path, whose parts
    have their places.
    """
    for separator in SEPARATORS:
        joined = [name.split(separator) for name in names if separator in name]
        if len(joined) < max(2, _LEAST_SHARE * len(names)):
            continue
        uses, first, later = 0, set[str](), set[str]()
        for parts in joined:
            head, *tail = [part.strip() for part in parts if part.strip()] or [""]
            uses += 1 + len(tail)
            first.add(head)
            later.update(tail)
        if uses >= _LEAST_USES * len(first | later) and 2 * len(first & later) >= len(first | later):
            return separator
    return None
