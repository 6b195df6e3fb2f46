"""What a run will cost, said before it starts."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from xmc.counted import counted
from xmc.scoring import default_memory_bytes
from xmc.training.config import TrainConfig

__all__ = ["CostEstimate", "estimate_cost"]

ADAM_BYTES = 16  # of float32: the weight, its gradient and two moments
FROZEN_BYTES = 4  # the weight alone
ACTIVATION_BYTES = 300_000  # a token of a transformer of which nothing is known; measured, rough


@dataclass(frozen=True)
class CostEstimate:
    """Steps, what each scores, and the memory of one rank in bytes."""

    num_steps: int
    batch_size: int
    pool_size: int
    memory_bytes: int

    def __str__(self) -> str:
        """The line that a run begins with."""
        return (
            f"{counted(self.num_steps, 'step')} of {counted(self.batch_size, 'query', 'queries')} against "
            f"about {counted(self.pool_size, 'label')}; about {self.memory_bytes / 2**30:.1f} GiB per "
            "process on top"
        )


def estimate_cost(
    config: TrainConfig,
    *,
    num_steps: int,
    batch_size: int,
    num_parameters: int,
    num_frozen: int = 0,
    dimension: int,
    pool_size: int,
    num_labels: int,
    micro_batch_tokens: int,
    token_bytes: int | None,
    world_size: int,
    device: torch.device,
) -> CostEstimate:
    """Peak memory of a process on top of what it takes to start, in bytes.

    Counted are the encoder's parameters, those that are trained with their moments, both sides' embeddings
    and gradients, one micro-batch, the score tiles, and what is held of all labels: residuals, the memory,
    their embeddings while mining (float16) and during a validation.
    """
    embeddings = (batch_size + pool_size / world_size) * dimension * 4 * 3
    given = config.scoring.memory_mb
    tiles = default_memory_bytes(device) if given is None else given << 20
    scores = min(tiles, batch_size * pool_size / world_size * 4 * 2)
    activations = micro_batch_tokens * (token_bytes or ACTIVATION_BYTES)
    memory = num_parameters * ADAM_BYTES + num_frozen * FROZEN_BYTES + embeddings + scores + activations
    memory += num_labels * dimension * _bytes_per_label_entry(config, world_size)
    return CostEstimate(num_steps, batch_size * config.training.accumulation, pool_size, round(memory))


def _bytes_per_label_entry(config: TrainConfig, world_size: int) -> float:
    """Bytes held for each of L x D entries."""
    remembered, residuals = config.negatives.memory, config.residuals
    held = 4.0 if config.validation.rows else 0.0
    if remembered.enabled and remembered.storage == "device":
        held += (4 if remembered.dtype == "float32" else 2) / world_size
    if config.negatives.mined.count:
        held += 2.0
    if residuals.enabled and residuals.clusters is None:
        held += 4.0 if config.training.table_dtype == "float32" else 2.0
    return held
