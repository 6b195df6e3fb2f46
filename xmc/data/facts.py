"""What the texts of a table are made of, and which say little: without content, repeated, empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmc.counted import agreeing
from xmc.data.dataset import Dataset
from xmc.data.manifest import FIELDS, Table

__all__ = ["TextFacts", "text_facts"]


@dataclass(frozen=True)
class TextFacts:
    """Of the N texts of a table, made of ``fields``."""

    table: Table
    fields: tuple[str, ...]
    """Those that make a text, joined by a space."""
    num_texts: int
    filled: dict[str, int]
    """Texts with more than white space in "title" and in "content", whether it is read or not."""
    num_empty: int
    """Texts with nothing but white space in all of ``fields``."""
    num_repeated: int
    """Texts that are not empty and equal to another of the table, which no model can tell apart."""

    def notes(self) -> list[str]:
        """A line for each fact that a user may not expect; counts of texts."""
        name = {"train": "training queries", "test": "test queries", "labels": "labels"}[self.table]
        option = "label_fields" if self.table == "labels" else "query_fields"
        lines = []
        for field in FIELDS:
            filled = self.filled[field]
            if field not in self.fields and filled:
                lines.append(
                    f"{self._have(filled, name)} a {field}, which is not read (data.{option} decides)"
                )
            if field in self.fields and filled < self.num_texts:
                lines.append(f"{self._have(self.num_texts - filled, name)} no {field}")
        if self.num_repeated:
            lines.append(f"{self._have(self.num_repeated, name)} the text of another one")
        if self.num_empty:
            lines.append(f"{self._have(self.num_empty, name)} an empty text")
        return lines

    def _have(self, count: int, name: str) -> str:
        return f"{count:,} of {self.num_texts:,} {name} {agreeing(count, 'has', 'have')}"


def text_facts(dataset: Dataset, table: Table, fields: str | Sequence[str] | None = None) -> TextFacts:
    """Facts of "train", "test" or "labels"; reads the texts once, in chunks, and keeps 8 bytes of each.

    Args:
        dataset: Whose texts.
        table: Which of its tables.
        fields: That make a text; default as the data set says.

    Raises:
        ConfigError: For an unknown table or field.
    """
    used = dataset.texts(table, fields).fields
    columns = [dataset.texts(table, [field]) for field in FIELDS]
    filled = dict.fromkeys(FIELDS, 0)
    num_texts = len(columns[0])
    hashes = np.zeros(num_texts, dtype=np.int64)
    num_empty = 0
    for row, values in enumerate(zip(*columns, strict=True)):
        parts = []
        for field, value in zip(FIELDS, values, strict=True):
            # As TextColumn joins them: only what is really empty is left out.
            if field in used and value:
                parts.append(value)
            filled[field] += bool(value.strip())
        text = " ".join(parts)
        if text.strip():
            hashes[row] = hash(text) or 1
        else:
            num_empty += 1
    return TextFacts(table, used, num_texts, filled, num_empty, num_repeated(hashes[hashes != 0]))


def num_repeated(hashes: NDArray[np.int64]) -> int:
    """How many of some hashes [N] are there more than once."""
    counts = np.unique(hashes, return_counts=True)[1]
    return int(counts[counts > 1].sum())
