"""Which labels a step scores, and how likely each was to be among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports
from xmc.negatives.config import (
    ClustersConfig,
    MemoryConfig,
    MinedConfig,
    NegativesConfig,
    TemperedConfig,
)

if TYPE_CHECKING:
    from xmc.negatives.balanced_clusters import balanced_order
    from xmc.negatives.draws import LabelDraw, UniformDraw
    from xmc.negatives.inclusion import (
        in_batch_inclusion,
        stratified_inclusion,
        tempered_inclusion,
        union_inclusion,
    )
    from xmc.negatives.label_memory import LabelMemory
    from xmc.negatives.mined_draw import draw_mined
    from xmc.negatives.mining import MinedLabels, mine_labels
    from xmc.negatives.pool import AllLabels, Pool, PoolSampler, SampledLabels, build_pool_sampler

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
        **dict.fromkeys(_INCLUSION, "xmc.negatives.inclusion"),
        **dict.fromkeys(_POOL, "xmc.negatives.pool"),
        "LabelDraw": "xmc.negatives.draws",
        "LabelMemory": "xmc.negatives.label_memory",
        "MinedLabels": "xmc.negatives.mining",
        "UniformDraw": "xmc.negatives.draws",
        "balanced_order": "xmc.negatives.balanced_clusters",
        "draw_mined": "xmc.negatives.mined_draw",
        "mine_labels": "xmc.negatives.mining",
    },
)
