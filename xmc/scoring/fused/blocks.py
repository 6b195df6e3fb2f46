"""The one table of block sizes: how large a tile one program of a kernel takes, by type, D and device."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["Blocks", "block_sizes"]

LARGE_SHARED_BYTES = 160 << 10
"""Shared memory a program may take from which on the large tiles fit: A100 163 KiB, H200 227 KiB.

Consumer GPUs have 99 KiB.
"""


@dataclass(frozen=True)
class Blocks:
    """Sizes of a tile and the launch options that go with them.

    Attributes:
        rows: M, queries.
        labels: N.
        depth: K, of the dimension at a time; at most 64 for halves and 32 for float32.
        warps: Of a program.
        stages: Loads of K that are under way at once.
    """

    rows: int
    labels: int
    depth: int
    warps: int
    stages: int


def block_sizes(
    dtype: torch.dtype,
    dimension: int,
    *,
    matrix_units: bool,
    shared_bytes: int,
    narrow: bool = False,
    described_fold: bool = False,
) -> Blocks:
    """Sizes for embeddings of ``dtype`` and ``dimension``.

    Args:
        dtype: Of the embeddings: float32, bfloat16 or float16.
        dimension: D.
        matrix_units: Whether products are taken on matrix units: halves always, float32 with TF32 alone.
            Elsewhere tiles are small, as a thread holds more of them.
        shared_bytes: Shared memory that a program may take on the device.
        narrow: For a pass that holds several numbers of each score at once: with 128 labels they would not
            fit a thread's registers.
        described_fold: For a fold whose tiles the copy engine moves: threads hold no addresses, so that half
            as many hold a tile, and two programs run on a processor, one's products beside the other's
            exponentials.
    """
    large = not narrow and shared_bytes >= LARGE_SHARED_BYTES
    if not matrix_units:
        # 64 x 64 products over 256 threads: 16 registers of each thread.
        return Blocks(64, 64, _depth(dimension, 32), warps=8, stages=2)
    # The same bytes of K per row for both types.
    deepest = 32 if dtype == torch.float32 else 64
    labels, stages = (128, 3) if large else (64, 3)
    warps = 4 if described_fold and not narrow else 8
    return Blocks(128, labels, _depth(dimension, deepest), warps=warps, stages=stages)


def _depth(dimension: int, deepest: int) -> int:
    """A power of two, 16 at least (the least of a product on matrix units), not far above ``dimension``."""
    depth = 16
    while depth < min(dimension, deepest):
        depth *= 2
    return depth
