"""What predictions are for: the rows and labels of a split, and how many predictions of each row matter."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.data import Dataset
from xmc.errors import DataError

__all__ = ["Target"]


class Target:
    """The queries and labels that predictions name.

    Args:
        dataset: A prepared data set.
        split: "test" or "train".
        depth: The largest cut-off: predictions behind it, once filtered pairs are gone, are not kept.
    """

    def __init__(self, dataset: Dataset, split: Literal["train", "test"], depth: int) -> None:
        self.dataset, self.split, self.depth = dataset, split, depth
        self.num_rows: int = dataset.relevance(split).shape[0]
        self.num_labels = dataset.num_labels
        self.excluded: sp.csr_matrix | None = dataset.filter(split)

    @cached_property
    def num_excluded(self) -> NDArray[np.int64]:
        """[N]: filtered labels of each row."""
        if self.excluded is None:
            return np.zeros(self.num_rows, dtype=np.int64)
        return np.diff(self.excluded.indptr).astype(np.int64)

    @cached_property
    def row_ids(self) -> dict[str, int]:
        """Row by the query's uid.

        Raises:
            DataError: When two rows have the same uid.
        """
        return _positions(self.dataset.uids(self.split), f"{self.dataset.name}, {self.split}")

    @cached_property
    def has_numbered_rows(self) -> bool:
        """Whether queries are named by their rows, "0" and so on, as where a data set came without uids."""
        last = self.num_rows - 1
        return all(self.row_ids.get(str(row)) == row for row in (0, min(1, last), last))

    @cached_property
    def label_ids(self) -> dict[str, int]:
        """Label id by the label's uid."""
        return _positions(self.dataset.uids("labels"), f"{self.dataset.name}, labels")


def _positions(uids: Sequence[str], where: str) -> dict[str, int]:
    positions: dict[str, int] = {}
    for position, uid in enumerate(uids):
        if positions.setdefault(uid, position) != position:
            raise DataError(
                f"{where}: expected each uid once, but rows {positions[uid]} and {position} are both "
                f"{uid!r}: give predictions by row (npz) instead of by uid"
            )
    return positions
