"""The ranks that work together; one without a process group is a world of size one, not a special path."""

from __future__ import annotations

from dataclasses import dataclass

import torch.distributed as dist

from xmc.distributed.sharding import shard_bounds

__all__ = ["World", "current_world"]


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


def current_world() -> World:
    """The world of the initialised process group, or a world of one."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return World()
