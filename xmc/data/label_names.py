"""What the names of labels tell that were made of clicks alone: that they are numbers, or several in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xmc.data.dataset import Dataset

__all__ = ["LabelNames", "label_names", "separator_of"]

SEPARATORS = (";", "|", ",", "\t")
"""What may stand between labels of one field."""
_LEAST_SHARE, _LEAST_USES = 0.2, 3


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
    separator = separator_of(names)
    if separator is not None:
        return LabelNames(0, separator, next(name for name in names if separator in name))
    numbers = [name for name in names if name.strip().lstrip("-").replace(".", "", 1).isdigit()]
    if 2 * len(numbers) < len(names):
        return LabelNames(0, None, "")
    return LabelNames(len(numbers), None, numbers[0])


def separator_of(names: Sequence[str]) -> str | None:
    """The separator that a fifth of the names have, and whose parts come again: three times on average.

    Parts are compared without their white space. A name of one thing may hold a comma, but what stands
    before it and behind it is seldom in other names so often.
    """
    for separator in SEPARATORS:
        joined = [name for name in names if separator in name]
        if len(joined) < max(2, _LEAST_SHARE * len(names)):
            continue
        parts = [part.strip() for name in joined for part in name.split(separator) if part.strip()]
        if len(parts) >= _LEAST_USES * len(set(parts)):
            return separator
    return None
