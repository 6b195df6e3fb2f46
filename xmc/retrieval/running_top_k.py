"""The k best of each row so far, while tiles of its scores come by."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from xmc.retrieval.top_k import CHUNK, new_top_k

__all__ = ["RunningTopK"]

# Rows have room for k and so many candidates beside their k best, before they are sorted in.
_ROOM = 300


class RunningTopK:
    """Lists of the k best of B rows, by score descending and then id ascending; tiles come by id.

    A row's floor is what it was given or, where that is higher, the last score of its list when it was last
    sorted: what is not above it need not be looked at. What is above waits beside the list until some row has
    no room, so that lists are sorted a few times in all and not once a tile, for which lower floors let a few
    more scores through.

    Args:
        num_rows: B.
        k: Length of the lists.
        device: Where they are.
        floor: [B], what the k best of a row are expected to be above (:mod:`.likely_floor`), from the first
            tile on. A row of which that is not so is among :meth:`short`.
    """

    def __init__(self, num_rows: int, k: int, device: torch.device, floor: Tensor | None = None) -> None:
        self.k, self._room = k, k + _ROOM
        shape = num_rows, k + self._room
        self._scores = torch.full(shape, -torch.inf, device=device)
        self._ids = torch.full(shape, -1, dtype=torch.int64, device=device)
        self._filled = torch.full((num_rows,), k, device=device)
        # The largest of them, which the host knows without asking a GPU.
        self._fullest = k
        self._given = self._scores[:, k - 1].clone() if floor is None else floor
        self._floor = self._given.clone()
        # With a floor from the first tile on, chunks that have something above it have little.
        self._most = 1 / 2 if floor is None else 2 / 3

    def add(self, tile: Tensor, peaks: Tensor, first: int) -> bool:
        """Take what a tile has for the lists.

        Args:
            tile: [B, l], l a multiple of 64; its ids come after those of all tiles before.
            peaks: [B, l / 64], the maximum of each 64 columns.
            first: The id of the first column.

        Returns:
            Whether all scores are numbers; nothing is taken of a tile with one that is NaN.
        """
        if not peaks.numel():
            return True
        above = peaks > self._floor[:, None]
        # Both in one read, as a GPU is waited for at each.
        looked_at, wrong = torch.stack([above.sum(), peaks.amax().isnan().long()]).tolist()
        if wrong:
            return False
        # Of a tile most of which would be looked at the best are chosen without copying it.
        if looked_at and (looked_at > self._most * above.numel() or not self._put_aside(tile, above, first)):
            self._sort_in(tile, peaks, first)
        return True

    def lists(self) -> tuple[Tensor, Tensor]:
        """Scores and ids [B, k], not copied; -inf and -1 where there are fewer."""
        self._sort()
        scores = self._scores[:, : self.k]
        return scores, self._ids[:, : self.k].masked_fill(scores == -torch.inf, -1)

    def short(self) -> Tensor:
        """The rows [R] whose lists may lack scores, as fewer than k are above the floor that was given."""
        self._sort()
        missing = (self._given > -torch.inf) & (self._scores[:, self.k - 1] <= self._given)
        return missing.nonzero()[:, 0]

    def _put_aside(self, tile: Tensor, above: Tensor, first: int) -> bool:
        """Put all scores above their row's floor beside its list; false where they are too many."""
        looked_at = _places(above)
        rows, chunks = looked_at // above.shape[1], looked_at % above.shape[1]
        scores = tile.view(-1, CHUNK).index_select(0, looked_at)
        wanted = _places(scores > self._floor[rows, None])
        places, columns = wanted // CHUNK, wanted % CHUNK
        rows, scores = rows[places], scores.view(-1)[wanted]
        # Rows ascend: those of each are a slice.
        ends = torch.searchsorted(rows, torch.arange(len(tile), device=rows.device), right=True)
        new = ends.diff(prepend=ends.new_zeros(1))
        most, fullest = torch.stack([new.max(), (self._filled + new).max()]).tolist()
        if most > self._room:
            return False
        if fullest > self._scores.shape[1]:
            self._sort()
            fullest = self.k + most
        # A score's place among those of its row is how far it is behind the first of them.
        offset = self._filled - (ends - new)
        target = rows, offset[rows] + torch.arange(len(rows), device=rows.device)
        self._scores[target] = scores
        self._ids[target] = chunks[places] * CHUNK + columns + first
        self._filled += new
        self._fullest = fullest
        return True

    def _sort_in(self, tile: Tensor, peaks: Tensor, first: int) -> None:
        """Merge the tile's best into the lists at once: of a tile that has many."""
        self._sort()
        k, scores, ids = self.k, self._scores, self._ids
        rows, best, columns = new_top_k(tile, peaks, self._floor, k)
        scores[rows, :k], ids[rows, :k] = _best(
            torch.cat([scores[rows, :k], best], 1), torch.cat([ids[rows, :k], columns + first], 1), k
        )
        self._raise_floor()

    def _sort(self) -> None:
        k, filled = self.k, self._fullest
        if filled == k:
            return
        self._scores[:, :k], self._ids[:, :k] = _best(self._scores[:, :filled], self._ids[:, :filled], k)
        self._scores[:, k:] = -torch.inf
        self._filled.fill_(k)
        self._fullest = k
        self._raise_floor()

    def _raise_floor(self) -> None:
        torch.maximum(self._scores[:, self.k - 1], self._given, out=self._floor)


def _places(flags: Tensor) -> Tensor:
    """Where flags [...] are set, counted row by row: int64, ascending."""
    if flags.device.type != "cpu":
        return flags.view(-1).nonzero().squeeze(1)
    # Of many flags of which few are set NumPy finds these in a fifth of the time.
    return torch.from_numpy(np.flatnonzero(flags.numpy()))


def _best(scores: Tensor, ids: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best of lists [B, m] in which a lower id comes before those of the same score."""
    scores, order = torch.sort(scores, dim=1, descending=True, stable=True)
    return scores[:, :k], ids.gather(1, order[:, :k])
