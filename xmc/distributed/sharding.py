"""Which contiguous part of a list each rank owns."""

from __future__ import annotations

from xmc.errors import ConfigError

__all__ = ["shard_bounds"]


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
