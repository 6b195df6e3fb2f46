"""Scoring with no score in memory: a Triton pass for the statistic, and one that writes a slab of slopes.

The statistic takes one product of B x L x D. For the gradients a slab of labels, as many as the memory budget
holds slopes of, is scored again and its slopes written; torch then takes the two products with embeddings:
four in all. To take those two inside the kernel as well would need a fifth: without atomics a program owns a
block of rows or of labels, not both, so each of the two would compute the scores for itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from torch import Tensor

from xmc.distributed.world import to_device
from xmc.scoring.arithmetic import HALF, add_product, deterministic_index_add, slope_product
from xmc.scoring.engine import Gradients, Needed, Problem
from xmc.scoring.fused.launch import Launcher
from xmc.scoring.pairs import add_pair_products, pair_products
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
        for labels, pairs, slopes, sums in self._slabs(value, grad_value, columns):
            if needed.queries or needed.scale:
                add_product(products, slopes, given.labels[labels])
            if grad_labels is not None:
                wide = slope_product(slopes.T, given.queries)
                places = columns[pairs] - labels.start
                add_pair_products(wide, places, given.queries, rows[pairs], grad_positives[pairs])
                # Rounded to the labels' type once, after positives and negatives were added up in float32.
                grad_labels[labels] = wide.mul_(given.scale)
            if grad_offsets is not None and sums is not None:
                torch.sum(sums, 0, out=grad_offsets[labels])
        add_pair_products(products, rows, given.labels, columns, grad_positives)
        if grad_offsets is not None:
            deterministic_index_add(grad_offsets, columns, grad_positives)
        return Gradients(products, grad_labels, grad_offsets)

    def _slabs(
        self, value: Tensor, grad_value: Tensor, columns: Tensor
    ) -> Iterator[tuple[slice, slice, Tensor, Tensor | None]]:
        """Each slab's labels, its pairs, its slopes [B, w] and their sums by row block [num_blocks, w]."""
        launcher, (num_rows, dimension) = self.launcher, self.problem.queries.shape
        tiling, num_labels = launcher.tiling, len(self.problem.labels)
        block = tiling.blocks.labels
        size = torch.finfo(self.slope_type).bits // 8
        budget = self.problem.inputs.memory_bytes
        tiles = min(slab_tiles(num_rows, dimension, block, size, budget), max(1, tiling.num_tiles))
        slopes = torch.empty(num_rows, tiles * block, dtype=self.slope_type, device=value.device)
        sums = None
        if self.needed.offsets:
            sums = torch.empty(tiling.num_blocks, tiles * block, device=value.device)
        statistic = cast(FusedStatistic, self.problem.statistic)
        form, numbers = statistic.fused_slope(value, grad_value)
        # A slab is as many labels as the budget holds slopes of, and its memory serves one after the other.
        starts = range(0, num_labels, tiles * block)
        cuts = [0, len(columns)]
        if len(starts) > 1:  # else the GPU need not be asked, and waited for
            edges = to_device(np.array([*starts, num_labels]), columns.device)
            cuts = torch.searchsorted(columns, edges).tolist()  # pairs are ordered by label
        for number, start in enumerate(starts):
            stop = min(start + tiles * block, num_labels)
            first, width = start // block, stop - start
            if num_rows:
                launcher.slopes(form, numbers, first, -(-width // block), slopes, sums)
            part = slice(cuts[number], cuts[number + 1])
            yield slice(start, stop), part, slopes[:, :width], None if sums is None else sums[:, :width]
