"""Listed pairs by row, so that a program that walks over labels meets each row's own as it comes to them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["RowPairs", "row_pairs"]


@dataclass(frozen=True)
class RowPairs:
    """P pairs ordered by row and then by column.

    Attributes:
        columns: [P] int32.
        stops: [B] int32: the pairs of row i end before ``stops[i]``.
        keys: [P] int64, ``row * num_columns + column``, ascending.
        num_columns: How many columns there are.
    """

    columns: Tensor
    stops: Tensor
    keys: Tensor
    num_columns: int

    def firsts(self, edges: Tensor) -> Tensor:
        """Where each row's pairs of the columns from each of ``edges`` [E] on begin: int32 [E, B]."""
        rows = torch.arange(len(self.stops), device=edges.device)
        wanted = rows * self.num_columns + edges.clamp(max=self.num_columns)[:, None]
        return torch.searchsorted(self.keys, wanted, out_int32=True)


def row_pairs(rows: Tensor, columns: Tensor, *, num_rows: int, num_columns: int) -> RowPairs:
    """Sort distinct pairs of ``rows`` [P] and ``columns`` [P] by row."""
    keys = torch.sort(rows * num_columns + columns)[0]
    ends = torch.arange(1, num_rows + 1, device=rows.device) * num_columns
    stops = torch.searchsorted(keys, ends, out_int32=True)
    return RowPairs((keys % max(1, num_columns)).int(), stops, keys, num_columns)
