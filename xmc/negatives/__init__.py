"""Which labels a step scores, and how likely each was to be among them."""

from __future__ import annotations

from xmc.negatives.config import NegativesConfig
from xmc.negatives.inclusion import in_batch_inclusion, union_inclusion
from xmc.negatives.pool import AllLabels, Pool, PoolSampler, SampledLabels, build_pool_sampler

__all__ = [
    "AllLabels",
    "NegativesConfig",
    "Pool",
    "PoolSampler",
    "SampledLabels",
    "build_pool_sampler",
    "in_batch_inclusion",
    "union_inclusion",
]
