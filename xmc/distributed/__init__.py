"""The world of ranks: who we are, which rows are ours, and collectives that carry gradients."""

from __future__ import annotations

from xmc.distributed.collectives import (
    all_gather_rows,
    all_reduce_max,
    all_reduce_sum,
    sum_gradients,
    sum_over_ranks,
)
from xmc.distributed.exchange import exchange_rows, gather_rows_to_main
from xmc.distributed.recording import CollectiveCost, record_collectives
from xmc.distributed.world import World, current_world, shard_bounds

__all__ = [
    "CollectiveCost",
    "World",
    "all_gather_rows",
    "all_reduce_max",
    "all_reduce_sum",
    "current_world",
    "exchange_rows",
    "gather_rows_to_main",
    "record_collectives",
    "shard_bounds",
    "sum_gradients",
    "sum_over_ranks",
]
