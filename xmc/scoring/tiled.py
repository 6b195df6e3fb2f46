"""Scoring in tiles over the labels: memory that does not grow with B x L, at four products of B x L x D.

One pass computes the scores for the statistic, one computes them again for the gradients, and two products
give the gradients of queries and labels. When all scores fit the budget they are kept, which saves a product,
and an ``InPlaceStatistic`` leaves in their place what its gradient is made of.
Where labels carry no gradient and the statistic is a :class:`DirectStatistic`, two products do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from xmc.distributed import World
from xmc.scoring.arithmetic import accumulation_type, add_product, scaled_product, slope_product
from xmc.scoring.engine import Gradients, Needed, Problem
from xmc.scoring.pairs import add_pair_products
from xmc.scoring.positives import Positives
from xmc.scoring.statistic import DirectStatistic, InPlaceStatistic, RowStatistic, Tile

__all__ = ["TiledEngine", "in_place_of", "tile_width"]

MOST_LOG_WEIGHT = 64.0
"""Up to here log weights may be within scores: a positive's score is a digit or two less exact for it."""

CACHE_BYTES = 8 << 20
"""A tile about this large stays in a core's cache between the product and the element-wise work."""


def tile_width(
    num_rows: int, num_labels: int, element_bytes: int, memory_bytes: int, cache_bytes: int = CACHE_BYTES
) -> int:
    """How many labels a tile holds: two buffers [B, width] fit ``memory_bytes``; at least 128 labels."""
    # Two buffers: the scores, which a statistic must not change, and its scratch. At least 128 labels, as
    # thinner products are slow whatever the budget says.
    budget = min(memory_bytes // 2, cache_bytes)
    return max(1, min(num_labels, max(128, budget // max(1, num_rows * element_bytes))))


@dataclass
class _Walker:
    """Walks this rank's tiles; the first pass also reads the positives' scores."""

    problem: Problem
    keep: bool = True
    in_place: bool = False
    """Whether scores may be written over, so that tiles need no scratch."""
    dtype: torch.dtype = field(init=False)
    scale: float = field(init=False)
    bounds: list[int] = field(init=False)
    slices: list[slice] = field(init=False)
    left_out: Positives | None = field(init=False)
    left_slices: list[slice] = field(init=False)
    offsets: Tensor | None = field(init=False)
    log_weights: Tensor | None = field(init=False)
    within: Tensor | None = field(init=False)
    """The log weights [l] that are within the scores, as the statistic would add them; None for none."""
    buffers: dict[int, Tensor] = field(init=False)
    buffer_size: int = field(init=False)
    kept: list[Tensor] | None = field(init=False)

    def __post_init__(self) -> None:
        queries, inputs = self.problem.queries, self.problem.inputs
        rows, labels = len(queries), len(self.problem.labels)
        self.dtype, self.scale = accumulation_type(queries.dtype), float(self.problem.scale)
        size = torch.finfo(self.dtype).bits // 8
        # On a GPU nothing but the budget bounds a tile: small ones cost launches and leave units idle.
        cache = CACHE_BYTES if queries.device.type == "cpu" else inputs.tile_bytes
        width = tile_width(rows, labels, size, inputs.tile_bytes, cache)
        self.bounds = [*range(0, labels, width), labels]
        start = inputs.own_shard.start
        # Where each tile's positives lie among the P pairs: found once for all passes.
        edges = [start + bound for bound in self.bounds]
        self.slices = inputs.pairs.label_slices(edges)
        self.left_out = inputs.left_out(self.problem.statistic.masks_positives)
        self.left_slices = [] if self.left_out is None else self.left_out.label_slices(edges)
        self._weigh()
        # All scores within the budget: kept for the way back, they save the product that makes them again.
        self.kept = [] if self.keep and rows * labels * size <= inputs.tile_bytes else None
        # Buffers are made once, when they are asked for, and cut to each tile. A fresh tensor per tile would
        # be new pages of memory each time, which cost more to fault in than the elementwise work on them.
        self.buffers, self.buffer_size = {}, rows * width

    def _weigh(self) -> None:
        """Take log weights into the product as offsets are, where the statistic adds them to scores."""
        given = self.problem
        self.offsets = None if given.offsets is None else given.offsets.to(self.dtype)
        self.log_weights = None if given.log_weights is None else given.log_weights.to(self.dtype)
        self.within = None
        statistic, weights = given.statistic, self.log_weights
        adds = getattr(statistic, "adds_log_weights", False) and statistic.masks_positives
        # Only a CPU is asked for their size, as another device would be waited for.
        if not adds or weights is None or not len(weights) or weights.device.type != "cpu":
            return
        # From a positive's score its weight is subtracted again, which would leave nothing of the score
        # beside a weight of -1e9 or -inf, as of a label that is left out. NaN is not small either.
        if not float(weights.abs().max()) <= MOST_LOG_WEIGHT:
            return
        self.within, self.log_weights = weights, None
        self.offsets = weights if self.offsets is None else self.offsets + weights

    def tiles(self, positive_scores: Tensor | None = None) -> Iterator[Tile]:
        """Pass over the tiles; writes the positives' scores of these labels into ``positive_scores`` [P]."""
        reuse, given = bool(self.kept), self.problem
        for number, (start, stop) in enumerate(pairwise(self.bounds)):
            scores = self.kept[number] if reuse and self.kept else self._scores(start, stop)
            if not reuse:
                rows, columns = self.pairs(number)
                # Read before they are masked; pairs of this tile only, so that each is written once per pass.
                if positive_scores is not None:
                    own = scores[rows, columns]
                    if self.within is not None:
                        own -= self.within[start:stop][columns]
                    positive_scores[self.slices[number]] = own
                if (left := self.left(number)) is not None:
                    # exp(-inf) and softplus(-inf) are exactly 0, however low the other scores of the row are.
                    scores[left] = -torch.inf
                if self.kept is not None:
                    self.kept.append(scores)
            weights = None if self.log_weights is None else self.log_weights[start:stop]
            scratch = scores if self.in_place else self._buffer(0, stop - start)
            # A statistic that masks positives has no weights to set: -inf says it all.
            masked = None if given.statistic.masks_positives else self.left(number)
            yield Tile(scores, weights, scratch, given.labels[start:stop], self.pairs(number), masked)

    def pairs(self, number: int) -> tuple[Tensor, Tensor]:
        """The rows and the columns of the positives within tile ``number``."""
        return self._within(self.problem.inputs.pairs, self.slices[number], number)

    def left(self, number: int) -> tuple[Tensor, Tensor] | None:
        """Those of the pairs within tile ``number`` that the statistic is not to see; None for none."""
        if self.left_out is None or self.left_slices[number].start == self.left_slices[number].stop:
            return None
        return self._within(self.left_out, self.left_slices[number], number)

    def _within(self, pairs: Positives, part: slice, number: int) -> tuple[Tensor, Tensor]:
        first = self.problem.inputs.own_shard.start + self.bounds[number]
        return pairs.rows[part], pairs.labels[part] - first

    def _scores(self, start: int, stop: int) -> Tensor:
        # Kept scores need a tensor each; otherwise every tile overwrites the one before.
        width, given = stop - start, self.problem
        scores = (
            self._buffer(1, width)
            if self.kept is None
            else given.queries.new_empty((len(given.queries), width), dtype=self.dtype)
        )
        offsets = None if self.offsets is None else self.offsets[start:stop]
        return scaled_product(given.queries, given.labels[start:stop].T, self.scale, offsets, scores)

    def _buffer(self, number: int, width: int) -> Tensor:
        queries = self.problem.queries
        if number not in self.buffers:
            self.buffers[number] = queries.new_empty((self.buffer_size,), dtype=self.dtype)
        return self.buffers[number][: len(queries) * width].view(len(queries), width)


class TiledEngine:
    """Scoring in tiles by plain torch; see :class:`xmc.scoring.engine.Engine`."""

    def __init__(self, problem: Problem, needed: Needed) -> None:
        """Choose tiles, and the way: with or without a second pass for the gradients."""
        self.problem, self.needed = problem, needed
        self.statistic = problem.statistic
        # Without gradients to labels the way back needs sum_j slope_j e_j alone, which such a statistic adds
        # up on the way there: two products, and no score is made twice.
        self.direct = isinstance(self.statistic, DirectStatistic) and (needed.queries or needed.scale)
        self.direct = self.direct and not (needed.labels or needed.offsets)
        self.direction: Tensor | None = None
        self.walker = _Walker(problem, keep=not self.direct)
        self.in_place = None if self.walker.kept is None else in_place_of(self.statistic)
        self.walker.in_place = self.in_place is not None
        self.numbers: list[Tensor] | None = None
        """Of each tile's rows, while the kept scores are what ``in_place`` has left of them."""

    def reduce(self) -> tuple[Tensor, Tensor]:
        """See :class:`xmc.scoring.engine.Engine`."""
        walker, queries = self.walker, self.problem.queries
        world = self.problem.inputs.own_shard.world
        scores = queries.new_zeros(len(self.problem.inputs.pairs), dtype=walker.dtype)

        def walk() -> Iterator[Tile]:
            return walker.tiles(scores)

        if self.direct and isinstance(self.statistic, DirectStatistic):
            self.direction = queries.new_zeros(queries.shape, dtype=walker.dtype)
            return scores, self.statistic.reduce_with_direction(walk, self.direction, scores, world)
        if self.in_place is not None:
            value, self.numbers = self.in_place.reduce_in_place(walk, len(queries), scores, world)
            return scores, value
        return scores, self.statistic.reduce(walk, len(queries), scores, world)

    def gradients(self, value: Tensor, grad_positives: Tensor, grad_value: Tensor) -> Gradients:
        """See :class:`xmc.scoring.engine.Engine`."""
        if self.direction is not None:
            rows, columns, part = self.problem.inputs.own_pairs()
            # The direction is that of the statistic; what the loss makes of a row's statistic is one factor.
            products = self.direction * grad_value[:, None]
            add_pair_products(products, rows, self.problem.labels, columns, grad_positives[part])
            return Gradients(products, None, None)
        return self._walk_back(value, grad_positives, grad_value)

    def _walk_back(self, value: Tensor, grad_positives: Tensor, grad_value: Tensor) -> Gradients:
        """The scores a second time, or kept, and a product for each gradient."""
        walker, queries, labels = self.walker, self.problem.queries, self.problem.labels
        # Queries gather over all tiles; a label is in one tile alone, so its gradient is written once.
        products = queries.new_zeros(queries.shape, dtype=walker.dtype)
        grad_labels = torch.empty_like(labels) if self.needed.labels else None
        grad_offsets = labels.new_empty(len(labels), dtype=walker.dtype) if self.needed.offsets else None
        numbers = self._numbers(products)
        for number, tile in enumerate(walker.tiles()):
            part = slice(walker.bounds[number], walker.bounds[number + 1])
            slope = self._slope(tile, None if numbers is None else numbers[number], value, grad_value)
            # A pair is listed once, so adding by index is exact and deterministic.
            slope[walker.pairs(number)] += grad_positives[walker.slices[number]]
            if self.needed.queries or self.needed.scale:
                add_product(products, slope, labels[part])
            if grad_labels is not None:
                _write_scaled(grad_labels[part], slope, queries, walker.scale)
            if grad_offsets is not None:
                torch.sum(slope, 0, out=grad_offsets[part])
        return Gradients(products, grad_labels, grad_offsets)

    def _numbers(self, like: Tensor) -> list[Tensor] | None:
        """What the statistic needs to turn what it left in place into slopes, which can be done once."""
        if self.in_place is None:
            return None
        numbers, self.numbers = self.numbers, None
        if numbers is None:
            # Gradients were asked for before: the kept scores are slopes by now, and are made again.
            self.walker.kept = []
            _, numbers = self.in_place.reduce_in_place(self.walker.tiles, len(like), like, World())
        return numbers

    def _slope(self, tile: Tile, numbers: Tensor | None, value: Tensor, grad_value: Tensor) -> Tensor:
        """``grad_value[i] * d value[i] / d scores[i, j]`` of a tile, [B, t], where a statistic may write."""
        if self.in_place is not None and numbers is not None:
            return self.in_place.gradient_in_place(tile, numbers, value, grad_value)
        return self.statistic.tile_gradient(tile, value, grad_value)


def in_place_of(statistic: RowStatistic) -> InPlaceStatistic | None:
    """The statistic, where it can work in place and does by that what its other methods do; else None."""
    if not isinstance(statistic, InPlaceStatistic):
        return None
    pairs = (("reduce", "reduce_in_place"), ("tile_gradient", "gradient_in_place"))
    alike = all(issubclass(_owner(statistic, own), _owner(statistic, usual)) for usual, own in pairs)
    return statistic if alike else None


def _owner(statistic: RowStatistic, method: str) -> type:
    """The class that a statistic has a method from."""
    return next(cls for cls in type(statistic).__mro__ if method in vars(cls))


def _write_scaled(out: Tensor, slope: Tensor, queries: Tensor, scale: float) -> None:
    """``out = scale * slope.T @ queries``, [t, D] in the labels' type."""
    if out.dtype == slope.dtype == queries.dtype:
        # Straight into the gradient's rows, the scale within the product.
        torch.addmm(out, slope.T, queries, beta=0, alpha=scale, out=out)
    else:
        out.copy_(slope_product(slope.T, queries).mul_(scale))
