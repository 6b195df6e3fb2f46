"""Label vectors that were trained themselves, a classifier's rows: they stand for encoded label texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file

from xmc.data.columns import read_columns
from xmc.errors import ModelError
from xmc.received import reading

__all__ = ["LabelVectors"]

UIDS_FILE = "label_table.parquet"
TABLE_FILE = "label_table.safetensors"
_UIDS = pa.schema([("uid", pa.string())])


@dataclass(eq=False)
class LabelVectors:
    """The vectors of the L labels a model was trained with, found by uid.

    Raises:
        ModelError: When the two do not have the same length, or a number is not finite.
    """

    uids: list[str]
    """Names of the L labels."""

    table: np.ndarray
    """float32 or float16 [L, D]."""

    def __post_init__(self) -> None:
        """Refuse, with a ModelError, a table that does not fit its uids."""
        if self.table.ndim != 2 or len(self.table) != len(self.uids):
            raise ModelError(
                f"expected a [L, D] table for {len(self.uids)} labels, got the shape {self.table.shape}"
            )
        if not np.isfinite(self.table).all():
            raise ModelError(
                "expected finite label vectors, got NaN or infinity: training has diverged, or the numbers "
                "are too large for fp16"
            )

    def of(self, uids: Sequence[str]) -> np.ndarray:
        """Vectors float32 [n, D] of some labels.

        Raises:
            ModelError: When a label is not among those the model was trained with.
        """
        # The labels it was trained with, in their order: no look-up of a million names.
        if list(uids) == self.uids:
            return self.table.astype(np.float32)
        unknown = next((uid for uid in uids if uid not in self._row_of), None)
        if unknown is not None:
            raise ModelError(
                f"the model knows the {len(self.uids)} labels it was trained with and none besides: it has "
                f"no vector for '{unknown}'; use those labels, or a model without a head, which encodes texts"
            )
        # float16 is how a table is kept; scores are computed in float32.
        return self.table[[self._row_of[uid] for uid in uids]].astype(np.float32)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {uid: row for row, uid in enumerate(self.uids)}

    def save(self, folder: Path) -> None:
        """Write ``label_table.safetensors`` (the table) and ``label_table.parquet`` (uid of each row)."""
        pq.write_table(pa.table({"uid": pa.array(self.uids, pa.string())}), folder / UIDS_FILE)
        save_file({"table": np.ascontiguousarray(self.table)}, folder / TABLE_FILE)

    @classmethod
    def load(cls, folder: Path) -> LabelVectors:
        """Read what `save` writes.

        Raises:
            ModelError: When a file is missing or malformed.
        """
        with reading(folder, f"label vectors: {UIDS_FILE} (uid) and {TABLE_FILE}", error=ModelError):
            uids = read_columns(folder / UIDS_FILE, _UIDS)["uid"]
            table = load_file(folder / TABLE_FILE)["table"]
        return cls(uids, table)
