"""Who we are among the ranks that work together, and which rows are ours.

One process without a process group is a world of size one, not a special path.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.distributed as dist

from xmc.errors import ConfigError

__all__ = ["World", "current_world", "shard_bounds"]


def shard_bounds(num_items: int, rank: int, size: int) -> tuple[int, int]:
    """Half-open bounds ``(start, stop)`` of a rank's shard; sizes differ by at most one, larger shards first.

    The shards of ranks 0 .. size - 1 are adjacent and cover ``range(num_items)``; a shard may be empty.

    Raises:
        ConfigError: When ``rank`` is not in ``range(size)`` or ``num_items`` is negative.
    """
    if not 0 <= rank < size or num_items < 0:
        raise ConfigError(f"expected 0 <= rank < size and num_items >= 0, got {rank=}, {size=}, {num_items=}")
    base, larger = divmod(num_items, size)
    start = rank * base + min(rank, larger)
    return start, start + base + (rank < larger)


@dataclass(frozen=True)
class World:
    """This process's ``rank`` among ``size`` ranks."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this rank writes files and prints."""
        return self.rank == 0

    def shard(self, num_items: int) -> tuple[int, int]:
        """The half-open range of ``num_items`` that this rank owns (see :func:`shard_bounds`)."""
        return shard_bounds(num_items, self.rank, self.size)

    def shard_sizes(self, num_items: int) -> list[int]:
        """How many of ``num_items`` each rank owns, in rank order."""
        bounds = (shard_bounds(num_items, rank, self.size) for rank in range(self.size))
        return [stop - start for start, stop in bounds]


def current_world() -> World:
    """The world of the initialised process group, or a world of one."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return World()
