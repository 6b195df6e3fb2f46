"""Learned vectors that are added to the encoded texts of the labels a model was trained with."""

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

__all__ = ["LabelResiduals"]

ROWS_FILE = "label_residuals.parquet"
TABLE_FILE = "label_residuals.safetensors"
_ROWS = pa.schema([("uid", pa.string()), ("row", pa.int64())])


@dataclass(eq=False)
class LabelResiduals:
    """The residuals of the labels a model was trained with, found by uid.

    Raises:
        ModelError: When the parts do not fit together, or a number is not finite.
    """

    uids: list[str]
    """Names of the L labels."""

    rows: np.ndarray
    """int64 [L], each label's row of the table: its own, or its cluster's."""

    table: np.ndarray
    """float32 [R, D]."""

    def __post_init__(self) -> None:
        """Refuse, with a ModelError, rows that do not fit the table and values that are not finite."""
        if self.rows.shape != (len(self.uids),) or self.table.ndim != 2:
            raise ModelError(
                f"expected a row of a [R, D] table for each of {len(self.uids)} labels, got "
                f"{self.rows.shape} rows of {self.table.shape}"
            )
        if len(self.rows) and not 0 <= self.rows.min() <= self.rows.max() < len(self.table):
            raise ModelError(
                f"expected rows in [0, {len(self.table)}), got {self.rows.min()} to {self.rows.max()}"
            )
        if not np.isfinite(self.table).all():
            raise ModelError("expected finite label residuals, got NaN or infinity: training has diverged")

    def add_to(self, embeddings: np.ndarray, uids: Sequence[str]) -> np.ndarray:
        """Label vectors float32 [n, D]: encoded texts plus residuals; a label without one stays as it is."""
        import torch  # a search reads residuals for the model's name alone

        from xmc.encoders.joined_labels import add_residuals

        # The labels it was trained with, in their order: no look-up of a million names.
        if list(uids) == self.uids:
            rows = self.rows
        else:
            rows = np.array([self._row_of.get(uid, -1) for uid in uids], dtype=np.int64)
        joined: np.ndarray = embeddings.copy()
        known = np.flatnonzero(rows >= 0)
        # A part at a time, as gathered residuals are a second copy of the embeddings.
        for part in np.array_split(known, max(1, len(known) // 65_536)):
            residuals = torch.from_numpy(self.table[rows[part]])
            joined[part] = add_residuals(torch.from_numpy(embeddings[part]), residuals).numpy()
        return joined

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return dict(zip(self.uids, self.rows.tolist(), strict=True))

    def save(self, folder: Path) -> None:
        """Write ``label_residuals.safetensors`` (the table) and ``label_residuals.parquet`` (uid, row)."""
        columns = {"uid": pa.array(self.uids, pa.string()), "row": pa.array(self.rows, pa.int64())}
        pq.write_table(pa.table(columns), folder / ROWS_FILE)
        save_file({"table": self.table}, folder / TABLE_FILE)

    @classmethod
    def load(cls, folder: Path) -> LabelResiduals:
        """Read what `save` writes.

        Raises:
            ModelError: When a file is missing or malformed.
        """
        with reading(folder, f"label residuals: {ROWS_FILE} (uid, row) and {TABLE_FILE}", error=ModelError):
            columns = read_columns(folder / ROWS_FILE, _ROWS)
            table = load_file(folder / TABLE_FILE)["table"]
        return cls(columns["uid"], np.array(columns["row"], dtype=np.int64), table)
