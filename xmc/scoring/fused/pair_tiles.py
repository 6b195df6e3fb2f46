"""Positives sorted by the tile that they fall into, so that a program reads the few of its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["PairTiles", "pair_tiles"]


@dataclass(frozen=True)
class PairTiles:
    """Pairs by tile; tile t of row block b is number ``b * num_tiles + t``.

    Attributes:
        rows: [P] int32.
        columns: [P] int32.
        starts: [num_blocks * num_tiles + 1] int32: the pairs of a tile are ``starts[n]:starts[n + 1]``.
    """

    rows: Tensor
    columns: Tensor
    starts: Tensor


def pair_tiles(
    rows: Tensor, columns: Tensor, *, num_blocks: int, num_tiles: int, block_rows: int, block_labels: int
) -> PairTiles:
    """Sort the pairs of ``rows`` [P] and ``columns`` [P] by tile.

    Takes 4 bytes per tile: of tiles of 128 x 128, a 16,384th of a float32 score matrix.
    """
    # Stable: within a tile the pairs keep their order, so that nothing depends on how a sort breaks ties.
    tiles, order = torch.sort(rows // block_rows * num_tiles + columns // block_labels, stable=True)
    numbers = torch.arange(num_blocks * num_tiles + 1, device=rows.device)
    # Where each tile's pairs begin, as in a CSR matrix; an empty tile begins where the next one does.
    starts = torch.searchsorted(tiles, numbers, out_int32=True)
    return PairTiles(rows[order].int(), columns[order].int(), starts)
