"""Stochastic rounding: a table of half the memory whose rows still move by less than it can tell apart.

bfloat16 keeps 8 bits of a number. A step of a training moves most components by less than half of the last
of them, so that rounding to the nearest would leave them where they are. Rounded up with a chance in
proportion to what is cut off, they move by the step in the mean.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor

from xmc.distributed.world import to_device
from xmc.random_streams import Stream, generator
from xmc.training.learned.optimisers.blocks import GPU_ROWS

__all__ = ["StochasticRounding", "round_stochastically"]

# Where the upper half of a float32 is among its two.
_UPPER = 1 if sys.byteorder == "little" else 0
_NOISES = 1 << 16
# Rows that noise is drawn for. On a CPU so many are changed at once, too: they stay in a core's cache between
# being read, changed, rounded and written.
_BLOCK = 256


def round_stochastically(values: Tensor, noise: Tensor) -> Tensor:
    """Values in bfloat16: one of the two neighbours of each, the nearer with the greater chance.

    The mean over the noise is the value itself (Gupta et al. 2015, "Deep Learning with Limited Numerical
    Precision", arXiv:1502.02551, section 3.2).

    Args:
        values: float32, finite.
        noise: int32 of the same shape, each of 0 to 65,535 with the same chance; it is written over.

    Returns:
        A view of ``noise``.
    """
    # A bfloat16 is the upper half of a float32. Noise added to the lower half carries over into the upper
    # one with a chance of lower half / 65,536, which is the value's place between its neighbours.
    return _upper_halves(noise.add_(values.view(torch.int32)))


def _rows_at_once(device: torch.device) -> int:
    """A multiple of the rows that noise is drawn for."""
    return _BLOCK if device.type == "cpu" else _BLOCK * max(1, GPU_ROWS // _BLOCK)


def _upper_halves(bits: Tensor) -> Tensor:
    """Those of numbers [..., D] of 32 bits, as they are and without a copy."""
    halves: Tensor = bits.view(torch.bfloat16).unflatten(-1, (-1, 2))[..., _UPPER]
    return halves


class StochasticRounding:
    """Takes rows of a bfloat16 table down by float32 steps; noise of its own for each step of each table.

    Drawing a number for each component takes longer than all else. So a step draws those of one block of
    rows, and a shift for each row of every block, by which the block's are turned around modulo 65,536. The
    noise of a component is any number with the same chance, and that of any two components, of one block or
    of two, is independent, so that means and variances are those of a draw for each.

    Args:
        seed: The run's.
        table: A number for the table, by which those of a run differ.
    """

    def __init__(self, seed: int, table: int) -> None:
        self.seed, self.table = seed, table
        self.steps = torch.zeros((), dtype=torch.int64)
        """How many steps have drawn noise, to go on from a checkpoint."""
        self._draw = generator(seed, Stream.ROUNDING, table, 0)
        self._block: Tensor | None = None

    def begin(self) -> None:
        """Begin a step: its noise depends on how many there were, and on nothing drawn in them."""
        self._draw = generator(self.seed, Stream.ROUNDING, self.table, int(self.steps))
        self._block = None
        self.steps += 1

    def subtract_(self, table: Tensor, rows: Tensor, factors: Tensor, values: Tensor) -> None:
        """``table[rows] -= factors[:, None] * values`` in place, each component rounded once.

        Args:
            table: [R, D] bfloat16.
            rows: [u] int64, distinct.
            factors: [u] float32.
            values: [u, D] float32.
        """
        if self._block is None:
            self._block = self._drawn(_BLOCK, table.shape[1], table.device)
        size = _rows_at_once(table.device)
        # As often one after the other as rows are changed at once: each row has the noise of its place, on
        # every device.
        block = self._block.repeat(-(-min(size, len(rows)) // _BLOCK), 1)
        # Blocks go through the same buffers, which on a CPU stay in a core's cache.
        exact, noise = torch.empty_like(block, dtype=torch.float32), torch.empty_like(block)
        shifts = self._drawn(len(rows), 1, table.device)
        parts = zip(*(x.split(size) for x in (rows, factors[:, None], values, shifts)), strict=True)
        for chosen, by, part, shift in parts:
            count = len(chosen)
            new = exact[:count].copy_(table.index_select(0, chosen)).addcmul_(by, part, value=-1)
            turned = torch.add(block[:count], shift, out=noise[:count]).bitwise_and_(_NOISES - 1)
            table.index_copy_(0, chosen, round_stochastically(new, turned))

    def _drawn(self, rows: int, columns: int, device: torch.device) -> Tensor:
        return to_device(self._draw.integers(_NOISES, size=(rows, columns), dtype=np.int32), device)
