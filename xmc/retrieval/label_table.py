"""The labels of an index: uid and text by label id; removed ones stay, so that ids keep their meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from xmc.data.columns import read_columns
from xmc.encoders.text_input import check_texts
from xmc.errors import DataError
from xmc.received import reading

__all__ = ["LabelTable"]


@dataclass
class LabelTable:
    """A label's id is its position in these lists."""

    uids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    removed: list[bool] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    """Where the store has the label's vector; of a removed label, where it was."""

    def __post_init__(self) -> None:
        """Index the uids that are still there by their id."""
        self._id_of = {
            uid: i for i, (uid, gone) in enumerate(zip(self.uids, self.removed, strict=True)) if not gone
        }

    def __len__(self) -> int:
        """Labels that are not removed."""
        return len(self._id_of)

    @property
    def next_id(self) -> int:
        """The id the next label will get."""
        return len(self.uids)

    def check_new(self, uids: Sequence[str], texts: Sequence[str]) -> None:
        """Check that labels can be appended.

        Raises:
            DataError: When a uid is no string, or there already, or twice, or when there are not as many uids
                as texts.
        """
        if len(uids) != len(texts):
            raise DataError(f"expected a uid for every text, got {len(uids)} uids and {len(texts)} texts")
        check_texts(uids, what="uids")
        new: set[str] = set()
        for uid in uids:
            if uid in self._id_of or uid in new:
                raise DataError(
                    f"expected every label uid once, got {uid!r} again: remove the old label first"
                )
            new.add(uid)

    def append(self, uids: Sequence[str], texts: Sequence[str], first_slot: int) -> None:
        """Append labels that `check_new` let pass; their ids count up from `next_id`, as their slots do."""
        self._id_of.update((uid, self.next_id + i) for i, uid in enumerate(uids))
        self.uids.extend(uids)
        self.texts.extend(texts)
        self.removed.extend([False] * len(uids))
        self.slots.extend(range(first_slot, first_slot + len(uids)))

    def replace(self, ids: NDArray[np.int64], texts: Sequence[str], first_slot: int) -> None:
        """Give labels other texts and slots; their ids and uids stay."""
        for position, label in enumerate(ids.tolist()):
            self.texts[label], self.slots[label] = texts[position], first_slot + position

    def label_of(self, next_slot: int) -> NDArray[np.int64]:
        """Label id of each slot, [next_slot]; -1 of one that is nobody's.

        Raises:
            DataError: When two labels have one slot, or one lies beyond ``next_slot``.
        """
        found = np.full(next_slot, -1, dtype=np.int64)
        ids = self.live_ids()
        slots = np.array(self.slots, dtype=np.int64)[ids]
        within = len(slots) == 0 or (slots.min() >= 0 and slots.max() < next_slot)
        if not within or np.bincount(slots, minlength=1).max() > 1:
            raise DataError(
                f"the labels of the index do not fit its {next_slot:,} vectors: build the index again"
            )
        found[slots] = ids
        return found

    def live_ids(self) -> NDArray[np.int64]:
        """Ids of the labels that are not removed, ascending."""
        return np.flatnonzero(~np.array(self.removed, dtype=bool)).astype(np.int64)

    def slots_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Slots [n] of label ids [n]."""
        return np.array([self.slots[label] for label in ids.tolist()], dtype=np.int64)

    def __contains__(self, uid: object) -> bool:
        """Whether a label of that uid is there and not removed."""
        return uid in self._id_of

    def ids(self, uids: Sequence[str]) -> NDArray[np.int64]:
        """Label ids [n] of the uids, ascending, each once.

        Raises:
            DataError: When one is not in the index.
        """
        unknown = [uid for uid in uids if uid not in self._id_of]
        if unknown:
            raise DataError(
                f"expected uids of labels in the index, got {unknown[0]!r} ({len(unknown)} unknown in all)"
            )
        return np.array(sorted({self._id_of[uid] for uid in uids}), dtype=np.int64)

    def remove(self, ids: NDArray[np.int64]) -> None:
        """Mark labels as removed."""
        for label in ids.tolist():
            self.removed[label] = True
            del self._id_of[self.uids[label]]

    def id_of(self, uid: str) -> int:
        """The id of one uid that is there."""
        return self._id_of[uid]

    def write(self, path: Path) -> None:
        """Write a Parquet file with the columns uid, text, removed, slot."""
        columns = {"uid": self.uids, "text": self.texts, "removed": self.removed, "slot": self.slots}
        pq.write_table(pa.table(columns, schema=_SCHEMA), path)

    @classmethod
    def read(cls, path: Path, *, with_slots: bool = True) -> LabelTable:
        """Read what `write` wrote; version 2 had no slots, as each label's was its id.

        Raises:
            DataError: When the file is not such a table.
        """
        schema = _SCHEMA if with_slots else _SCHEMA.remove(_SCHEMA.get_field_index("slot"))
        with reading(path, "the label table of an index", "build the index again"):
            lists = list(read_columns(path, schema).values())
            table = cls(*lists, *([] if with_slots else [list(range(len(lists[0])))]))
            if len(table) != table.removed.count(False):
                raise ValueError("a uid is there twice")
        return table


_SCHEMA = pa.schema(
    [("uid", pa.string()), ("text", pa.string()), ("removed", pa.bool_()), ("slot", pa.int64())]
)
