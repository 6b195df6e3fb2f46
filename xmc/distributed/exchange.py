"""Rows that every rank made for every other rank, sent to those they belong to; and rows sent to rank 0."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from xmc.distributed.recording import recorded
from xmc.distributed.world import World
from xmc.errors import ConfigError

__all__ = ["exchange_rows", "gather_rows_to_main"]


def exchange_rows(values: Tensor, world: World) -> Tensor:
    """Each rank's values for this rank's rows, without gradients.

    Args:
        values: [N, ...] on every rank, a value of this rank for each of the N rows of all ranks.
        world: This rank and the number of ranks.

    Returns:
        [size, n, ...]: for the n rows of this rank's shard of N (:meth:`World.shard`), the values of rank 0,
        of rank 1 and so on. One all-to-all of the bytes of ``values``.
    """
    start, stop = world.shard(len(values))
    if world.size == 1:
        return values[None]
    sizes = world.shard_sizes(len(values))
    received = values.new_empty((world.size * (stop - start), *values.shape[1:]))
    with recorded(values):
        dist.all_to_all_single(received, values.contiguous(), [stop - start] * world.size, sizes)
    return received.view(world.size, stop - start, *values.shape[1:])


def gather_rows_to_main(local: Tensor, num_rows: int, world: World) -> Tensor | None:
    """The rows of all ranks in rank order, on rank 0; None on the others. Without gradients.

    Args:
        local: [n, ...], this rank's shard of ``num_rows`` rows (:meth:`World.shard`).
        num_rows: N, over all ranks.
        world: This rank and the number of ranks.

    Raises:
        ConfigError: When ``local`` is not this rank's shard.
    """
    start, stop = world.shard(num_rows)
    if len(local) != stop - start:
        raise ConfigError(f"expected the rows {start}:{stop} of {num_rows}, got {len(local)} rows")
    if world.size == 1:
        return local
    # Shards are of equal size or one less: the shorter ones are padded by a row.
    padded = local.new_zeros((-(-num_rows // world.size), *local.shape[1:]))
    padded[: len(local)] = local
    parts = [torch.empty_like(padded) for _ in range(world.size)] if world.is_main else None
    with recorded(padded):
        dist.gather(padded, parts, dst=0)
    if parts is None:
        return None
    return torch.cat([part[:n] for part, n in zip(parts, world.shard_sizes(num_rows), strict=True)])
