"""Holds a share of the training texts out as test rows while any importer writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from xmc.data.manifest import Split
from xmc.data.text_keys import check_share, places
from xmc.data.writer import DatasetWriter
from xmc.errors import ConfigError

__all__ = ["SplitOff"]


class SplitOff:
    """Stands before a :class:`DatasetWriter` and sends training rows whose text is drawn to the test split.

    A text's hash and the seed decide (:func:`xmc.data.text_keys.places`), so that all rows of a text fall on
    one side. To the importer all rows are still training rows, numbered in its order.

    Args:
        writer: Writes.
        share: Of the texts.
        seed: Another seed draws other texts.
    """

    def __init__(self, writer: DatasetWriter, share: float, seed: int) -> None:
        check_share("split", share)
        self._writer, self._share, self._seed = writer, share, seed
        self._sides: list[tuple[Split, int]] = []

    def as_writer(self) -> DatasetWriter:
        """Itself as what importers take; it has all that they use of a writer."""
        return cast(DatasetWriter, self)

    @property
    def num_labels(self) -> int:
        """Labels added so far."""
        return self._writer.num_labels

    def num_rows(self, split: str) -> int:
        """Rows that the importer added so far."""
        return len(self._sides) if split == "train" else 0

    def label_id(self, uid: str) -> int | None:
        """As of the writer."""
        return self._writer.label_id(uid)

    def add_label(self, uid: str, title: str, content: str = "") -> int:
        """As of the writer."""
        return self._writer.add_label(uid, title, content)

    def add_row(
        self,
        split: str,
        uid: str,
        title: str,
        content: str,
        label_ids: Iterable[int],
        relevance: Sequence[float] | None = None,
    ) -> int:
        """Add a training row to the side of its text.

        Raises:
            ConfigError: For a test row.
        """
        if split != "train":
            raise ConfigError("split: expected data without test rows, but these have some: leave it out")
        side: Split = "test" if places([f"{title} {content}"], self._seed)[0] < self._share else "train"
        self._sides.append((side, self._writer.num_rows(side)))
        self._writer.add_row(side, uid, title, content, label_ids, relevance)
        return len(self._sides) - 1

    def add_filter(self, split: str, row: int, label: int) -> None:
        """Leave a pair out of the ranking, on the side where its row went."""
        side, place = self._sides[row]
        self._writer.add_filter(side, place, label)

    def check(self) -> None:
        """Refuse a split without test or training rows.

        Raises:
            ConfigError: Saying how many rows there are.
        """
        for side in ("train", "test"):
            if not self._writer.num_rows(side):
                raise ConfigError(
                    f"split: expected a share of {self._share} to leave rows on both sides, but none of "
                    f"{len(self._sides)} rows is for {side}: take another share or seed"
                )
