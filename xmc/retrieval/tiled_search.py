"""One block of queries against all labels, tile by tile.

A tile costs its product and a pass for the maxima of chunks of it, while it is in a CPU's cache: few chunks
hold what is above a row's floor, which is a guess at first and then the k-th best so far.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from xmc.errors import ModelError
from xmc.retrieval.mapped import to_read
from xmc.retrieval.running_top_k import RunningTopK
from xmc.retrieval.top_k import CHUNK

__all__ = ["LEAST_SIDE", "Product", "TiledSearch", "exact_product", "read_rows", "whole_chunks"]

LEAST_SIDE = 64
"""Rows and columns of a product. One of fewer goes to other kernels of the BLAS library, which round
differently; with this padding a score has the same bits whatever tile or shard it is computed in."""

Product = Callable[[Tensor, Tensor, Tensor], object]
"""Writes the scores of queries [B, D] and labels [l, D] to the third, [B, l], all float32."""


def exact_product(queries: Tensor, labels: Tensor, scores: Tensor) -> None:
    """In float32."""
    torch.mm(queries, labels.T, out=scores)


@dataclass(frozen=True)
class TiledSearch:
    """Labels to search, with what a tile of their scores needs.

    Attributes:
        labels: [L, D], numpy (memory-mapped too), torch, or what has a length and slices like them.
        bias: [L], added to the scores, or None.
        k: Labels of a list.
        step: Labels of a tile.
        buffer: Float32 [at least B and LEAST_SIDE, whole chunks of ``step``], written over.
    """

    labels: Any
    bias: Tensor | None
    k: int
    step: int
    buffer: Tensor

    @property
    def depth(self) -> int:
        """How many of the best labels the floor of :meth:`best` is meant for."""
        return self.k

    def best(
        self, queries: Tensor, exclude: sp.csc_matrix | None, floor: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Scores and ids [B, k] of a block of queries [B, D]; -inf and -1 where there are fewer.

        Args:
            queries: Float32, on the buffer's device.
            exclude: [B, L], pairs left out.
            floor: [B], what the k best are expected to be above; a query of which that is not so is searched
                again.

        Raises:
            ModelError: When a score is not a number.
        """
        lists = self.look_through(queries, self.k, exclude, floor)
        scores, ids = lists.lists()
        if floor is not None and len(short := lists.short()):
            scores[short], ids[short] = self.best(queries[short], only_rows(exclude, short))
        return scores, ids

    def look_through(
        self,
        queries: Tensor,
        k: int,
        exclude: sp.csc_matrix | None,
        floor: Tensor | None = None,
        product: Product = exact_product,
    ) -> RunningTopK:
        """Lists of k labels of what is above the floor alone; the arguments are those of :meth:`best`."""
        best = RunningTopK(len(queries), k, queries.device, floor)
        padded = _at_least(queries, LEAST_SIDE)
        for start in range(0, len(self.labels), self.step):
            stop = min(start + self.step, len(self.labels))
            rows = read_rows(self.labels, start, stop, queries.device)
            bias = None if self.bias is None else self.bias[start:stop]
            tile = self.scores(padded, rows, bias, product)[: len(queries)]
            if exclude is not None:
                drop_pairs(tile, exclude, start, stop)
            peaks = tile.view(len(tile), -1, CHUNK).amax(dim=2)
            if not best.add(tile, peaks, start):
                raise ModelError(
                    f"expected embeddings of numbers, but labels {start} to {stop} score NaN: the model has "
                    "diverged"
                )
        return best

    def scores(
        self, queries: Tensor, labels: Tensor, bias: Tensor | None, product: Product = exact_product
    ) -> Tensor:
        """Those of queries [B, D], at least LEAST_SIDE of them, and labels [l, D], as a part of the buffer.

        Returns:
            [B, whole chunks], -inf from the l-th column on.
        """
        width = len(labels)
        labels = _at_least(labels, LEAST_SIDE)
        tile = self.buffer[: len(queries), : whole_chunks(width)]
        if tile.shape[1] < self.buffer.shape[1]:
            tile = self.buffer.view(-1)[: tile.numel()].view(tile.shape)
        product(queries, labels, tile[:, : len(labels)])
        if bias is not None:
            tile[:, :width] += bias
        tile[:, width:] = -torch.inf
        return tile


def only_rows(exclude: sp.csc_matrix | None, rows: Tensor) -> sp.csc_matrix | None:
    """The pairs of some queries [R]."""
    return None if exclude is None else exclude.tocsr()[rows.cpu().numpy()].tocsc()


def drop_pairs(tile: Tensor, exclude: sp.csc_matrix, start: int, stop: int) -> None:
    """Set the scores of pairs of labels ``start`` to ``stop``, the tile's columns, to -inf."""
    bounds = exclude.indptr[start : stop + 1]
    rows = torch.from_numpy(exclude.indices[bounds[0] : bounds[-1]].astype(np.int64))
    columns = torch.from_numpy(np.repeat(np.arange(stop - start), np.diff(bounds)))
    tile[rows.to(tile.device), columns.to(tile.device)] = -torch.inf


def read_rows(values: NDArray[Any] | Tensor, start: int, stop: int, device: torch.device) -> Tensor:
    """Rows of numpy or torch on any device, as float32 on this one."""
    part = values[start:stop]
    if not isinstance(part, Tensor):
        part = to_read(np.asarray(part, dtype=np.float32))
    return part.detach().to(device=device, dtype=torch.float32)


def whole_chunks(width: int) -> int:
    """Columns of a tile for so many labels."""
    return max(LEAST_SIDE, -(-width // CHUNK) * CHUNK)


def _at_least(rows: Tensor, count: int) -> Tensor:
    return F.pad(rows, (0, 0, 0, count - len(rows))) if len(rows) < count else rows
