"""Scoring with no score in memory: a Triton pass for the statistic, and one that writes a slab of slopes.

The statistic takes one product of B x L x D. For the gradients a slab of labels, as many as the memory budget
holds slopes of, is scored again and its slopes written; torch then takes the two products with embeddings:
four in all. To take those two inside the kernel as well would need a fifth: without atomics a program owns a
block of rows or of labels, not both, so each of the two would compute the scores for itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor

from xmc.scoring.arithmetic import HALF, add_product, deterministic_index_add, slope_product
from xmc.scoring.engine import Gradients, Needed, Problem
from xmc.scoring.fused.launch import Launcher
from xmc.scoring.pairs import add_pair_products, pair_products
from xmc.scoring.positives import Positives
from xmc.scoring.statistic import FusedStatistic

__all__ = ["FusedEngine", "slab_tiles"]


def slab_tiles(num_rows: int, dimension: int, block_labels: int, slope_bytes: int, memory_bytes: int) -> int:
    """How many tiles a slab has: its slopes and its labels' gradient fit ``memory_bytes``; at least one."""
    bytes_per_label = num_rows * slope_bytes + 4 * dimension
    return max(1, memory_bytes // max(1, bytes_per_label * block_labels))


class FusedEngine:
    """Scoring by Triton kernels; see :class:`xmc.scoring.engine.Engine`."""

    def __init__(self, problem: Problem, needed: Needed) -> None:
        """Make what both passes share."""
        self.problem, self.needed = problem, needed
        self.launcher = Launcher(problem)
        halves = problem.queries.dtype in HALF and problem.labels.dtype in HALF
        # Not float16, which has no place for slopes of 1e-9.
        self.slope_type = torch.bfloat16 if halves else torch.float32

    def reduce(self) -> tuple[Tensor, Tensor]:
        """See :class:`xmc.scoring.engine.Engine`."""
        given = self.problem
        rows, columns, part = given.inputs.own_pairs()
        # The kernels never write a score, so the P positives are scored by themselves, in float64.
        own = pair_products(given.queries, rows, given.labels, columns) * given.scale
        if given.offsets is not None:
            own = own + given.offsets[columns]
        scores = given.queries.new_zeros(len(given.inputs.pairs), dtype=torch.float32)
        scores[part] = own.float()
        statistic = cast(FusedStatistic, given.statistic)
        return scores, statistic.reduce_fused(self.launcher.scan, scores, given.inputs.own_shard.world)

    def gradients(self, value: Tensor, grad_positives: Tensor, grad_value: Tensor) -> Gradients:
        """See :class:`xmc.scoring.engine.Engine`."""
        given, needed = self.problem, self.needed
        rows, columns, part = given.inputs.own_pairs()
        grad_positives = grad_positives[part]
        products = torch.zeros(given.queries.shape, device=value.device)
        grad_labels = torch.empty_like(given.labels) if needed.labels else None
        grad_offsets = torch.empty(len(given.labels), device=value.device) if needed.offsets else None
        # The kernel writes the statistic's slopes; those of the positives' own scores are added as pairs.
        for labels, pairs, slopes in self._slabs(value, grad_value):
            if needed.queries or needed.scale:
                add_product(products, slopes, given.labels[labels])
            if grad_labels is not None:
                wide = slope_product(slopes.T, given.queries)
                places = columns[pairs] - labels.start
                add_pair_products(wide, places, given.queries, rows[pairs], grad_positives[pairs])
                # Rounded to the labels' type once, after positives and negatives were added up in float32.
                torch.mul(wide, given.scale, out=grad_labels[labels])
            if grad_offsets is not None:
                grad_offsets[labels] = torch.sum(slopes, 0, dtype=torch.float32)
        add_pair_products(products, rows, given.labels, columns, grad_positives)
        if grad_offsets is not None:
            deterministic_index_add(grad_offsets, columns, grad_positives)
        return Gradients(products, grad_labels, grad_offsets)

    def _slabs(self, value: Tensor, grad_value: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
        """Each slab's labels, its pairs, and its slopes [B, w]."""
        launcher, (num_rows, dimension) = self.launcher, self.problem.queries.shape
        tiling, num_labels = launcher.tiling, len(self.problem.labels)
        inputs, statistic = self.problem.inputs, cast(FusedStatistic, self.problem.statistic)
        block = tiling.blocks.labels
        size = torch.finfo(self.slope_type).bits // 8
        tiles = slab_tiles(num_rows, dimension, block, size, inputs.tile_bytes)
        tiles = min(tiles, max(1, tiling.num_tiles))
        slopes = torch.empty(num_rows, tiles * block, dtype=self.slope_type, device=value.device)
        # On the device: a number of Python would be copied there, and waited for.
        zero = slopes.new_zeros(())
        form, numbers = statistic.fused_slope(value, grad_value)
        # A slab is as many labels as the budget holds slopes of, and its memory serves one after the other.
        edges = [*range(0, num_labels, tiles * block), num_labels]
        own, left_out = inputs.pairs, inputs.left_out(statistic.masks_positives)
        slices = self._cut(own, edges)
        left = slices if left_out is own else self._cut(left_out, edges)
        for number, pairs in enumerate(slices):
            start, stop = edges[number : number + 2]
            if num_rows:
                launcher.slopes(form, numbers, start // block, -(-(stop - start) // block), slopes)
            if left_out is not None:
                # A scatter of a few costs less than a kernel that looks for them in every tile.
                rows, columns, _ = inputs.own_pairs(left_out)
                pair = left[number]
                slopes.index_put_((rows[pair], columns[pair] - start), zero)
            yield slice(start, stop), pairs, slopes[:, : stop - start]

    def _cut(self, pairs: Positives | None, edges: list[int]) -> list[slice]:
        """Which of the pairs of this rank's labels are of those between neighbouring edges."""
        if pairs is None or len(edges) == 1:
            return []
        *_, own = self.problem.inputs.own_pairs(pairs)
        if len(edges) == 2:  # then a GPU need not be asked, and waited for
            return [slice(0, own.stop - own.start)]
        slices = pairs.label_slices([self.problem.inputs.own_shard.start + edge for edge in edges])
        return [slice(part.start - own.start, part.stop - own.start) for part in slices]
