"""Labels of several texts: a title and a description apart, or a line for each synonym or chunk.

A data set keeps a title and a content for each label, and these say which texts it has. So one string can
stand for all texts of a label, a line for each: what an index keeps, and a list gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from xmc.errors import ConfigError
from xmc.files import fingerprint

__all__ = ["FOLDS", "SPLITS_OF_TEXTS", "FlatTexts", "SeveralTexts", "lines_of", "several_texts"]

SPLITS_OF_TEXTS = ("joint", "fields", "lines")
"""One text of all fields; a text of each field; a text of each line of each field."""
FOLDS = ("max", "top2")
"""A label's score of those of its texts: the best, or the mean of the two best; where it has one, that."""

_CHUNK = 16_384


def several_texts(fields: Sequence[str], split: str) -> str:
    """The texts of a label, a line each, of its fields; each text once, and white space made one space.

    Args:
        fields: Of one label.
        split: "fields" or "lines".
    """
    parts = fields if split == "fields" else [line for field in fields for line in field.splitlines()]
    return "\n".join(dict.fromkeys(filter(None, (" ".join(part.split()) for part in parts))))


def lines_of(text: str) -> list[str]:
    """The texts of a label whose lines they are; an empty one for a label without any."""
    return [line for part in text.splitlines() if (line := part.strip())] or [""]


class SeveralTexts(Sequence[str]):
    """For each of L labels a string of its texts, a line each, of several columns of one length.

    Args:
        columns: Texts [L] of each field.
        split: "fields" or "lines".
        source: Names their content.
    """

    def __init__(self, columns: Sequence[Sequence[str]], split: str, source: str = "") -> None:
        if split not in SPLITS_OF_TEXTS[1:]:
            raise ConfigError(f"expected labels' texts of {' or '.join(SPLITS_OF_TEXTS[1:])}, got {split!r}")
        self.split = split
        self.fingerprint = fingerprint(source, split)
        self._columns = list(columns)

    def __len__(self) -> int:
        """L."""
        return len(self._columns[0])

    @overload
    def __getitem__(self, key: int) -> str: ...
    @overload
    def __getitem__(self, key: slice | Sequence[int] | NDArray[Any]) -> list[str]: ...
    def __getitem__(self, key: Any) -> str | list[str]:
        """The texts of one label, or a list of those of several."""
        found = [column[key] for column in self._columns]
        if isinstance(key, (int, np.integer)):
            return several_texts(found, self.split)
        return [several_texts(fields, self.split) for fields in zip(*found, strict=True)]

    def __iter__(self) -> Iterator[str]:
        """Those of every label, a chunk of labels in memory at a time."""
        for start in range(0, len(self), _CHUNK):
            yield from self[start : start + _CHUNK]


@dataclass(frozen=True, eq=False)
class FlatTexts:
    """The texts of labels one after another.

    Attributes:
        texts: [T].
        bounds: int64 [n + 1]; those of label ``i`` are ``texts[bounds[i]:bounds[i + 1]]``, at least one.
    """

    texts: list[str]
    bounds: NDArray[np.int64]

    @classmethod
    def of(cls, labels: Sequence[str]) -> FlatTexts:
        """Of labels whose texts are lines of a string."""
        split = [lines_of(text) for text in labels]
        counts = np.fromiter(map(len, split), dtype=np.int64, count=len(split))
        return cls([text for texts in split for text in texts], np.concatenate([[0], np.cumsum(counts)]))

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many texts each label has, int64 [n]."""
        return np.diff(self.bounds)

    def repeated(self, values: Sequence[str]) -> list[str]:
        """A value of each label [n], for each of its texts [T]."""
        return [
            value for value, count in zip(values, self.counts.tolist(), strict=True) for _ in range(count)
        ]


Split = Literal["joint", "fields", "lines"]
Fold = Literal["max", "top2"]
