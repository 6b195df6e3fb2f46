"""Which labels a step scores, and how likely each was to be among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports
from xmc.training.batches.config import (
    ClustersConfig,
    MemoryConfig,
    MinedConfig,
    NegativesConfig,
    TemperedConfig,
)

if TYPE_CHECKING:
    from xmc.training.batches.clusters.order import balanced_order
    from xmc.training.batches.memory.label_memory import LabelMemory
    from xmc.training.batches.mined.draw import draw_mined
    from xmc.training.batches.mined.search import MinedLabels, mine_labels
    from xmc.training.batches.pools.draws import LabelDraw, UniformDraw
    from xmc.training.batches.pools.inclusion import (
        in_batch_inclusion,
        stratified_inclusion,
        tempered_inclusion,
        union_inclusion,
    )
    from xmc.training.batches.pools.pool import (
        AllLabels,
        Pool,
        PoolSampler,
        SampledLabels,
        build_pool_sampler,
    )

__all__ = [
    "AllLabels",
    "ClustersConfig",
    "LabelDraw",
    "LabelMemory",
    "MemoryConfig",
    "MinedConfig",
    "MinedLabels",
    "NegativesConfig",
    "Pool",
    "PoolSampler",
    "SampledLabels",
    "TemperedConfig",
    "UniformDraw",
    "balanced_order",
    "build_pool_sampler",
    "draw_mined",
    "in_batch_inclusion",
    "mine_labels",
    "stratified_inclusion",
    "tempered_inclusion",
    "union_inclusion",
]

_INCLUSION = ("in_batch_inclusion", "stratified_inclusion", "tempered_inclusion", "union_inclusion")
_POOL = ("AllLabels", "Pool", "PoolSampler", "SampledLabels", "build_pool_sampler")

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        **dict.fromkeys(_INCLUSION, "xmc.training.batches.pools.inclusion"),
        **dict.fromkeys(_POOL, "xmc.training.batches.pools.pool"),
        "LabelDraw": "xmc.training.batches.pools.draws",
        "LabelMemory": "xmc.training.batches.memory.label_memory",
        "MinedLabels": "xmc.training.batches.mined.search",
        "UniformDraw": "xmc.training.batches.pools.draws",
        "balanced_order": "xmc.training.batches.clusters.order",
        "draw_mined": "xmc.training.batches.mined.draw",
        "mine_labels": "xmc.training.batches.mined.search",
    },
)
