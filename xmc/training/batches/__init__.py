"""Which labels a step scores, and how likely each was to be among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports
from xmc.training.batches.clusters.config import ClustersConfig
from xmc.training.batches.config import NegativesConfig
from xmc.training.batches.memory.config import MemoryConfig
from xmc.training.batches.mined.config import MinedConfig
from xmc.training.batches.pools.config import TemperedConfig

if TYPE_CHECKING:
    from xmc.training.batches.batch import Batch, Moment, Pool
    from xmc.training.batches.batches import Batches, build_batches
    from xmc.training.batches.clusters.order import balanced_order
    from xmc.training.batches.memory.label_memory import LabelMemory
    from xmc.training.batches.mined.draw import draw_mined
    from xmc.training.batches.mined.search import MinedLabels, mine_labels
    from xmc.training.batches.pools.inclusion import (
        in_batch_inclusion,
        stratified_inclusion,
        tempered_inclusion,
        union_inclusion,
    )
    from xmc.training.batches.pools.pool import AllLabels, PoolSampler, build_pool_sampler
    from xmc.training.batches.pools.sampled import LabelDraw, SampledLabels, UniformDraw
    from xmc.training.batches.source import BatchSource

__all__ = [
    "AllLabels",
    "Batch",
    "BatchSource",
    "Batches",
    "ClustersConfig",
    "LabelDraw",
    "LabelMemory",
    "MemoryConfig",
    "MinedConfig",
    "MinedLabels",
    "NegativesConfig",
    "Moment",
    "Pool",
    "PoolSampler",
    "SampledLabels",
    "TemperedConfig",
    "UniformDraw",
    "balanced_order",
    "build_batches",
    "build_pool_sampler",
    "draw_mined",
    "in_batch_inclusion",
    "mine_labels",
    "stratified_inclusion",
    "tempered_inclusion",
    "union_inclusion",
]

_INCLUSION = ("in_batch_inclusion", "stratified_inclusion", "tempered_inclusion", "union_inclusion")
_POOL = ("AllLabels", "PoolSampler", "build_pool_sampler")

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        **dict.fromkeys(_INCLUSION, "xmc.training.batches.pools.inclusion"),
        **dict.fromkeys(("LabelDraw", "SampledLabels", "UniformDraw"), "xmc.training.batches.pools.sampled"),
        **dict.fromkeys(_POOL, "xmc.training.batches.pools.pool"),
        **dict.fromkeys(("Batch", "Moment", "Pool"), "xmc.training.batches.batch"),
        **dict.fromkeys(("Batches", "build_batches"), "xmc.training.batches.batches"),
        "BatchSource": "xmc.training.batches.source",
        "LabelMemory": "xmc.training.batches.memory.label_memory",
        "MinedLabels": "xmc.training.batches.mined.search",
        "balanced_order": "xmc.training.batches.clusters.order",
        "draw_mined": "xmc.training.batches.mined.draw",
        "mine_labels": "xmc.training.batches.mined.search",
    },
)
