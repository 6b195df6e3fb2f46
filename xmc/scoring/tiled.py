"""Scoring in tiles over the labels: memory that does not grow with B x L, at four products of B x L x D.

One pass computes the scores for the statistic, one computes them again for the gradients, and two products
give the gradients of queries and labels. When all scores fit the budget they are kept, which saves a product.
Where labels carry no gradient and the statistic is a :class:`DirectStatistic`, two products do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from xmc.distributed import World, all_reduce_sum
from xmc.scoring.pairs import add_pair_products
from xmc.scoring.positives import Positives
from xmc.scoring.statistic import DirectStatistic, RowStatistic, Tile

__all__ = ["reduce_tiled", "tile_width"]

HALF = (torch.float16, torch.bfloat16)
CACHE_BYTES = 8 << 20
"""A tile about this large stays in a core's cache between the product and the element-wise work."""


def tile_width(num_rows: int, num_labels: int, element_bytes: int, memory_bytes: int) -> int:
    """How many labels a tile holds: two buffers [B, width] fit ``memory_bytes``; at least 128 labels."""
    budget = min(memory_bytes // 2, CACHE_BYTES)
    return max(1, min(num_labels, max(128, budget // max(1, num_rows * element_bytes))))


@dataclass
class _Walker:
    """Walks this rank's tiles; the first pass also reads the positives' scores."""

    queries: Tensor
    labels: Tensor
    scale: float
    offsets: Tensor | None
    log_weights: Tensor | None
    positives: Positives
    start: int
    masks: bool
    memory_bytes: int
    keep: bool = True
    dtype: torch.dtype = field(init=False)
    bounds: list[int] = field(init=False)
    slices: list[slice] = field(init=False)
    buffers: list[Tensor] = field(init=False)
    kept: list[Tensor] | None = field(init=False)

    def __post_init__(self) -> None:
        rows, labels = len(self.queries), len(self.labels)
        self.dtype = torch.float32 if self.queries.dtype in HALF else self.queries.dtype
        size = torch.finfo(self.dtype).bits // 8
        width = tile_width(rows, labels, size, self.memory_bytes)
        self.bounds = [*range(0, labels, width), labels]
        self.slices = self.positives.label_slices([self.start + bound for bound in self.bounds])
        self.kept = [] if self.keep and rows * labels * size <= self.memory_bytes else None
        scratch = self.queries.new_empty((rows * width,), dtype=self.dtype)
        self.buffers = [scratch] if self.kept is not None else [scratch, torch.empty_like(scratch)]

    def tiles(self, positive_scores: Tensor | None = None) -> Iterator[Tile]:
        """Pass over the tiles; writes the positives' scores of these labels into ``positive_scores`` [P]."""
        reuse = bool(self.kept)
        for number, (start, stop) in enumerate(pairwise(self.bounds)):
            scores = self.kept[number] if reuse and self.kept else self._scores(start, stop)
            if not reuse:
                rows, columns = self.pairs(number)
                if positive_scores is not None:
                    positive_scores[self.slices[number]] = scores[rows, columns]
                if self.masks:
                    scores[rows, columns] = -torch.inf
                if self.kept is not None:
                    self.kept.append(scores)
            log_weights = None if self.log_weights is None else self.log_weights[start:stop].to(self.dtype)
            scratch = self._buffer(0, stop - start)
            yield Tile(scores, log_weights, scratch, self.labels[start:stop], self.pairs(number))

    def pairs(self, number: int) -> tuple[Tensor, Tensor]:
        """The rows and the columns of the positives within tile ``number``."""
        part = self.slices[number]
        return self.positives.rows[part], self.positives.labels[part] - (self.start + self.bounds[number])

    def own_pairs(self) -> tuple[Tensor, Tensor, slice]:
        """The rows and the columns of the positives within this rank's labels, and where they are in P."""
        part = self.positives.label_slices([self.start, self.start + len(self.labels)])[0]
        return self.positives.rows[part], self.positives.labels[part] - self.start, part

    def _scores(self, start: int, stop: int) -> Tensor:
        width = stop - start
        scores = (
            self._buffer(1, width)
            if self.kept is None
            else self.buffers[0].new_empty(len(self.queries), width)
        )
        offsets = None if self.offsets is None else self.offsets[start:stop].to(self.dtype)
        return scaled_product(self.queries, self.labels[start:stop].T, self.scale, offsets, scores)

    def _buffer(self, number: int, width: int) -> Tensor:
        rows = len(self.queries)
        return self.buffers[number][: rows * width].view(rows, width)


def scaled_product(left: Tensor, right: Tensor, scale: float, offsets: Tensor | None, out: Tensor) -> Tensor:
    """``scale * left @ right + offsets`` into ``out``, accumulated in its type: float32 or float64."""
    if left.dtype in HALF and left.dtype == right.dtype and left.is_cuda:
        torch.mm(left, right, out_dtype=torch.float32, out=out).mul_(scale)
        return out if offsets is None else out.add_(offsets)
    left, right = left.to(out.dtype), right.to(out.dtype)
    if offsets is None:
        return torch.addmm(out, left, right, beta=0, alpha=scale, out=out)
    return torch.addmm(offsets, left, right, alpha=scale, out=out)


class _Tiled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        labels: Tensor,
        scale: Tensor,
        offsets: Tensor | None,
        log_weights: Tensor | None,
        positives: Positives,
        statistic: RowStatistic,
        start: int,
        world: World,
        memory_bytes: int,
    ) -> tuple[Tensor, Tensor]:
        masks = statistic.masks_positives
        by_queries, by_labels, by_scale, by_offsets = ctx.needs_input_grad[:4]
        direct = isinstance(statistic, DirectStatistic) and (by_queries or by_scale)
        direct = direct and not (by_labels or by_offsets)
        walker = _Walker(
            queries,
            labels,
            float(scale),
            offsets,
            log_weights,
            positives,
            start,
            masks,
            memory_bytes,
            not direct,
        )
        positive_scores = queries.new_zeros(len(positives), dtype=walker.dtype)
        value, ctx.direction = _statistic(walker, statistic, positive_scores, world, direct)
        all_reduce_sum(positive_scores, world)
        # The walker holds these too; saved, they are known not to have been changed in place since.
        ctx.save_for_backward(queries, labels, scale, value, offsets, log_weights)
        ctx.walker, ctx.statistic = walker, statistic
        return positive_scores, value

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        queries, labels, scale, value, *_ = ctx.saved_tensors
        if ctx.direction is None:
            sums = _gradients(
                ctx.walker, ctx.statistic, value, gradients[0], gradients[1], ctx.needs_input_grad
            )
            query_gradient, label_gradient, offset_gradient = sums
        else:
            query_gradient = _direct_gradient(ctx.walker, ctx.direction, gradients[0], gradients[1])
            label_gradient = offset_gradient = None
        scale_gradient = (query_gradient * queries).sum() if ctx.needs_input_grad[2] else None
        scaled = (query_gradient * scale).to(queries.dtype) if ctx.needs_input_grad[0] else None
        if label_gradient is not None:
            label_gradient = label_gradient.mul_(scale).to(labels.dtype)
        return (scaled, label_gradient, scale_gradient, offset_gradient, *[None] * 6)


def _statistic(
    walker: _Walker, statistic: RowStatistic, positive_scores: Tensor, world: World, direct: bool
) -> tuple[Tensor, Tensor | None]:
    """The statistic [B] and, where asked for, its derivative by the queries before the scale, [B, D]."""

    def walk() -> Iterator[Tile]:
        return walker.tiles(positive_scores)

    if direct and isinstance(statistic, DirectStatistic):
        direction = walker.queries.new_zeros(walker.queries.shape, dtype=walker.dtype)
        return statistic.reduce_with_direction(walk, direction, positive_scores, world), direction
    return statistic.reduce(walk, len(walker.queries), positive_scores, world), None


def _direct_gradient(
    walker: _Walker, direction: Tensor, positive_gradient: Tensor, value_gradient: Tensor
) -> Tensor:
    """The gradient [B, D] by the queries before the scale, without a pass over the labels."""
    rows, columns, part = walker.own_pairs()
    by_query = direction * value_gradient[:, None]
    return add_pair_products(by_query, rows, walker.labels, columns, positive_gradient[part])


def _gradients(
    walker: _Walker,
    statistic: RowStatistic,
    value: Tensor,
    positive_gradient: Tensor,
    value_gradient: Tensor,
    needed: tuple[bool, ...],
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradients by q.e products of the queries [B, D] and the labels [l, D], and by the offsets [l]."""
    queries, labels, dtype = walker.queries, walker.labels, walker.dtype
    by_query = queries.new_zeros(queries.shape, dtype=dtype)
    by_label = labels.new_empty(labels.shape, dtype=dtype) if needed[1] else None
    by_offset = labels.new_empty(len(labels), dtype=dtype) if needed[3] else None
    for number, tile in enumerate(walker.tiles()):
        start, stop = walker.bounds[number], walker.bounds[number + 1]
        slope = statistic.tile_gradient(tile, value, value_gradient)
        # A pair is listed once, so adding by index is exact and deterministic.
        slope[walker.pairs(number)] += positive_gradient[walker.slices[number]]
        if needed[0] or needed[2]:
            by_query.addmm_(slope, labels[start:stop].to(dtype))
        if by_label is not None:
            torch.mm(slope.T, queries.to(dtype), out=by_label[start:stop])
        if by_offset is not None:
            torch.sum(slope, 0, out=by_offset[start:stop])
    return by_query, by_label, by_offset


def reduce_tiled(*arguments: Any) -> tuple[Tensor, Tensor]:
    """See :func:`xmc.scoring.reduce_scores`; the arguments are those of ``_Tiled.forward``."""
    return _Tiled.apply(*arguments)  # type: ignore[no-any-return, no-untyped-call]
