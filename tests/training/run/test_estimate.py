from __future__ import annotations

from dataclasses import replace

import torch

from xmc.training.batches import MemoryConfig, NegativesConfig
from xmc.training.run.estimate import estimate_cost


def test_the_estimate_grows_with_what_is_held(config):
    def memory(**changes: int) -> int:
        values = dict(
            num_steps=10,
            batch_size=8,
            num_parameters=1_000_000,
            dimension=64,
            pool_size=1000,
            num_labels=5000,
            micro_batch_tokens=1000,
            token_bytes=40,
            world_size=1,
            device=torch.device("cpu"),
        )
        return estimate_cost(config, **{**values, **changes}).memory_bytes

    assert memory() > 16_000_000
    assert memory(pool_size=10_000) > memory() < memory(num_parameters=2_000_000)
    assert memory(pool_size=10_000, world_size=4) < memory(pool_size=10_000)
    assert memory(token_bytes=140) - memory() == 100 * 1000 and memory(token_bytes=None) > memory()
    assert memory(num_labels=1_005_000) - memory() == 1_000_000 * 64 * 4  # a validation's embeddings
    config = replace(
        config, negatives=NegativesConfig("sampled", uniform=9, memory=MemoryConfig(enabled=True))
    )
    assert memory(num_labels=1_005_000) - memory() == 1_000_000 * 64 * 6  # and a memory in float16
