"""The world of ranks: who we are, which rows are ours, and collectives that carry gradients.

Imported on first use: shard bounds and the launcher need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports

if TYPE_CHECKING:
    from xmc.distributed.agreement import from_main
    from xmc.distributed.launch import launched_size, start_missing_processes
    from xmc.distributed.presence import answering
    from xmc.distributed.recording import CollectiveCost, record_collectives
    from xmc.distributed.watch import watch_ranks
    from xmc.distributed.world import (
        World,
        all_gather_rows,
        all_reduce_max,
        all_reduce_sum,
        current_world,
        exchange_rows,
        gather_rows_to_main,
        shard_bounds,
        sum_gradients,
        sum_over_ranks,
    )

__all__ = [
    "CollectiveCost",
    "World",
    "all_gather_rows",
    "all_reduce_max",
    "all_reduce_sum",
    "answering",
    "current_world",
    "exchange_rows",
    "from_main",
    "gather_rows_to_main",
    "launched_size",
    "record_collectives",
    "shard_bounds",
    "start_missing_processes",
    "sum_gradients",
    "sum_over_ranks",
    "watch_ranks",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        **dict.fromkeys(__all__, "xmc.distributed.world"),
        "answering": "xmc.distributed.presence",
        "watch_ranks": "xmc.distributed.watch",
        "from_main": "xmc.distributed.agreement",
        **dict.fromkeys(("CollectiveCost", "record_collectives"), "xmc.distributed.recording"),
        **dict.fromkeys(("launched_size", "start_missing_processes"), "xmc.distributed.launch"),
    },
)
