"""The k best of each row so far, while tiles of its scores come by."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from xmc.retrieval.top_k import CHUNK, new_top_k

__all__ = ["RunningTopK"]

# Rows have room for k and so many candidates beside their k best, before they are sorted in.
_ROOM = 300
# So many chunks of tiles are gathered before the scores that they have for the lists are looked for.
_GATHERED = 16_384


class RunningTopK:
    """Lists of the k best of B rows, by score descending and then id ascending; tiles come by id.

    A row's floor is the last score of its list when it was last sorted: what is not above it need not be
    looked at. Chunks that hold more are gathered from tile after tile, what of them is above waits beside the
    list until some row has no room, and lists are sorted a few times in all and not once a tile, for which
    lower floors let a few more scores through.

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
        # Of each tile the chunks gathered: their rows [n], the ids [n] of first columns, scores [n, 64].
        self._gathered: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, tile: Tensor, peaks: Tensor, first: int) -> bool:
        """Take what a tile has for the lists.

        Args:
            tile: [B, l], l a multiple of 64; its ids come after those of all tiles before.
            peaks: [B, l / 64], the maximum of each 64 columns.
            first: The id of the first column.

        Returns:
            Whether all scores are numbers; nothing is taken of a tile with one that is NaN.
        """
        above = peaks > self._floor[:, None]
        # Both in one read, as a GPU is waited for at each.
        looked_at, wrong = torch.stack([above.sum(), peaks.amax().isnan().long()]).tolist()
        if wrong:
            return False
        if 4 * looked_at > 3 * above.numel():
            self._sort_in(tile, peaks, first)
        elif looked_at:
            self._gather(tile, above, first)
        return True

    def lists(self) -> tuple[Tensor, Tensor]:
        """Scores and ids [B, k]; -inf and -1 where there are fewer."""
        self._put_aside()
        self._sort()
        scores = self._scores[:, : self.k]
        return scores, self._ids[:, : self.k].masked_fill(scores == -torch.inf, -1)

    def short(self) -> Tensor:
        """The rows [R] whose lists may lack scores, as fewer than k are above the floor that was given."""
        self._put_aside()
        self._sort()
        missing = (self._given > -torch.inf) & (self._scores[:, self.k - 1] <= self._given)
        return missing.nonzero()[:, 0]

    def _gather(self, tile: Tensor, above: Tensor, first: int) -> None:
        """Take the chunks of a tile that have something above their row's floor."""
        chunks = _places(above)
        of_row = above.shape[1]
        self._gathered.append(
            (chunks // of_row, chunks % of_row * CHUNK + first, tile.view(-1, CHUNK).index_select(0, chunks))
        )
        if sum(len(rows) for rows, _, _ in self._gathered) >= _GATHERED:
            self._put_aside()

    def _put_aside(self) -> None:
        """Put the gathered scores that are above their row's floor beside its list."""
        if not self._gathered:
            return
        rows, firsts, scores = (
            parts[0] if len(parts) == 1 else torch.cat(parts) for parts in zip(*self._gathered, strict=True)
        )
        self._gathered.clear()
        wanted = _places(scores > self._floor[rows, None])
        places = wanted // CHUNK
        rows, ids, scores = rows[places], firsts[places] + wanted % CHUNK, scores.view(-1)[wanted]
        # Those of each row are a slice from here on, by id ascending as tiles came.
        rows, order = rows.sort(stable=True)
        ids, scores = ids[order], scores[order]
        new = self._count(rows)
        most, fullest = torch.stack([new.max(), (self._filled + new).max()]).tolist()
        if most > self._room:
            rows, ids, scores = _best_of_rows(rows, ids, scores, self.k)
            new, fullest = self._count(rows), self._scores.shape[1] + 1
        if fullest > self._scores.shape[1]:
            self._sort()
            fullest = self.k + min(most, self._room)
        # A score's place among those of its row is how far it is behind the first of them.
        offset = self._filled - (new.cumsum(0) - new)
        target = rows, offset[rows] + torch.arange(len(rows), device=rows.device)
        self._scores[target], self._ids[target] = scores, ids
        self._filled += new
        self._fullest = fullest

    def _count(self, rows: Tensor) -> Tensor:
        """How often each row is among ascending ``rows``: [B]. A GPU is not waited for, as bincount does."""
        ends = torch.searchsorted(rows, torch.arange(len(self._filled), device=rows.device), right=True)
        return ends.diff(prepend=ends.new_zeros(1))

    def _sort_in(self, tile: Tensor, peaks: Tensor, first: int) -> None:
        """Merge the tile's best into the lists at once: of a tile that has many."""
        self._put_aside()
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


def _best_of_rows(rows: Tensor, ids: Tensor, scores: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """The k best of each row's scores, by score descending and then id ascending.

    Rows [n] ascend, and in each of them ids.
    """
    by_score = scores.sort(descending=True, stable=True).indices
    order = by_score[rows[by_score].sort(stable=True).indices]
    # Rows are the same in this order, so that a score's rank is how far it is behind the first of its row.
    first = torch.searchsorted(rows, rows)
    order = order[torch.arange(len(rows), device=rows.device) - first < k]
    return rows[order], ids[order], scores[order]


def _best(scores: Tensor, ids: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best of lists [B, m] in which a lower id comes before those of the same score."""
    scores, order = torch.sort(scores, dim=1, descending=True, stable=True)
    return scores[:, :k], ids.gather(1, order[:, :k])
