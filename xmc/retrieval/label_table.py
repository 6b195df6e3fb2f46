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
from xmc.limits import MAX_IDS
from xmc.received import reading

__all__ = ["LabelTable"]


@dataclass
class LabelTable:
    """A label's id is its position in these lists."""

    uids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    removed: list[bool] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    """Where the store has the label's first vector; of a removed label, where it was."""
    counts: list[int] = field(default_factory=list)
    """How many vectors a label has, side by side: one for each of its texts."""

    def __post_init__(self) -> None:
        """Index the uids that are still there by their id."""
        self.counts = self.counts or [1] * len(self.uids)
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
        check_texts(texts, what="label texts")
        new: set[str] = set()
        for place, uid in enumerate(uids):
            if not uid.strip():
                raise DataError(f"expected a uid for every label, got an empty one at position {place}")
            if uid in self._id_of or uid in new:
                raise DataError(
                    f"expected every label uid once, got {uid!r} again: remove the old label first"
                )
            new.add(uid)

    def append(
        self,
        uids: Sequence[str],
        texts: Sequence[str],
        first_slot: int,
        counts: Sequence[int] | None = None,
    ) -> None:
        """Append labels that `check_new` let pass; their ids count up from `next_id`, as their slots do.

        ``counts`` says how many vectors each has; one when None.
        """
        many = [1] * len(uids) if counts is None else list(counts)
        self._id_of.update((uid, self.next_id + i) for i, uid in enumerate(uids))
        self.uids.extend(uids)
        self.texts.extend(texts)
        self.removed.extend([False] * len(uids))
        self.slots.extend((first_slot + np.cumsum([0, *many])[:-1]).tolist())
        self.counts.extend(many)

    def replace(
        self,
        ids: NDArray[np.int64],
        texts: Sequence[str],
        first_slot: int,
        counts: Sequence[int] | None = None,
    ) -> None:
        """Give labels other texts and slots; their ids and uids stay. ``counts`` as in `append`."""
        slot = first_slot
        for position, label in enumerate(ids.tolist()):
            self.texts[label], self.slots[label] = texts[position], slot
            self.counts[label] = 1 if counts is None else counts[position]
            slot += self.counts[label]

    def label_of(self, next_slot: int) -> NDArray[np.int64]:
        """Label id of each slot, [next_slot]; -1 of one that is nobody's.

        Raises:
            DataError: When two labels have one slot, or one lies beyond ``next_slot``.
        """
        found = np.full(next_slot, -1, dtype=np.int64)
        ids = self.live_ids()
        slots = self.slots_of(ids)
        within = len(slots) == 0 or (slots.min() >= 0 and slots.max() < next_slot)
        if not within or np.bincount(slots, minlength=1).max() > 1:
            raise DataError(
                f"the labels of the index do not fit its {next_slot:,} vectors: build the index again"
            )
        found[slots] = np.repeat(ids, np.array(self.counts, dtype=np.int64)[ids])
        return found

    def live_ids(self) -> NDArray[np.int64]:
        """Ids of the labels that are not removed, ascending."""
        return np.flatnonzero(~np.array(self.removed, dtype=bool)).astype(np.int64)

    def live_texts(self) -> list[str]:
        """Texts by label id, nothing for labels that are removed."""
        return ["" if gone else text for text, gone in zip(self.texts, self.removed, strict=True)]

    def slots_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Slots [m] of the vectors of label ids [n], label by label: of one text each, m is n."""
        wanted = ids.tolist()
        first = np.array([self.slots[label] for label in wanted], dtype=np.int64)
        if self.has_one_each:
            return first
        counts = np.array([self.counts[label] for label in wanted], dtype=np.int64)
        ends = np.cumsum(counts)
        found: NDArray[np.int64] = np.repeat(first - (ends - counts), counts)
        return found + np.arange(len(found))

    @property
    def num_vectors(self) -> int:
        """Of the labels that are not removed."""
        if self.has_one_each:
            return len(self)
        return sum(count for count, gone in zip(self.counts, self.removed, strict=True) if not gone)

    @property
    def has_one_each(self) -> bool:
        """Whether no label has more vectors than one."""
        return max(self.counts, default=1) == 1

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
        if self.has_one_each:
            pq.write_table(pa.table(columns, schema=_SCHEMA), path)
        else:
            pq.write_table(pa.table({**columns, "vectors": self.counts}, schema=_SEVERAL), path)

    @classmethod
    def read(cls, path: Path, *, with_slots: bool = True, several: bool = False) -> LabelTable:
        """Read what `write` wrote; version 2 had no slots, as each label's was its id.

        ``several`` says that labels may have more vectors than one.

        Raises:
            DataError: When the file is not such a table.
        """
        schema = _SCHEMA if with_slots else _SCHEMA.remove(_SCHEMA.get_field_index("slot"))
        with reading(path, "the label table of an index", "build the index again"):
            if several and "vectors" in pq.read_schema(path).names:
                schema = _SEVERAL
            lists = list(read_columns(path, schema).values())
            table = cls(*lists, *([] if with_slots else [list(range(len(lists[0])))]))
            if not 1 <= min(table.counts, default=1) <= max(table.counts, default=1) <= MAX_IDS:
                raise ValueError("a label has no vector, or too many")
            if len(table) != table.removed.count(False):
                raise ValueError("a uid is there twice")
        return table


_SCHEMA = pa.schema(
    [("uid", pa.string()), ("text", pa.string()), ("removed", pa.bool_()), ("slot", pa.int64())]
)
_SEVERAL = _SCHEMA.append(pa.field("vectors", pa.int64()))
