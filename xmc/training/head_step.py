"""One training step with a head: encode the queries, step the head on all labels, carry the gradients back.

The head is the same on every rank: all ranks gather all queries and take the same step, which costs nothing
that grows with the number of labels, and no rank sends a gradient of the head.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from xmc.distributed import all_gather_rows
from xmc.heads import FactoredHead
from xmc.training.step import StepInputs, encode_rows

__all__ = ["step_head"]


def step_head(inputs: StepInputs, head: FactoredHead, rows: np.ndarray, draw: int, factor: float) -> Tensor:
    """Step the head on one global batch, and add the encoder's gradients to ``.grad`` on this rank.

    Args:
        inputs: What stays the same.
        head: The head.
        rows: [B] training row ids of the global batch, the same on every rank.
        draw: The number of this batch since the start of the run; decides, with the rank, the dropout.
        factor: The share of the head's peak rate to step at.

    Returns:
        The loss of the global batch before the step, a detached scalar, equal on every rank. The gradients
        are this rank's part; their sum over ranks is the gradient of the loss.
    """
    config, world, watch = inputs.config, inputs.world, inputs.watch
    torch.manual_seed(hash((config.seed, draw, world.rank)) & 0x7FFFFFFF)
    start, stop = world.shard(len(rows))
    encoding = encode_rows(inputs, inputs.learner.encoder.query_tower, inputs.queries, rows[start:stop])
    with watch.part("head"):
        queries = all_gather_rows(encoding.embeddings, len(rows), world)
        scale = inputs.learner.parameters.scale
        rate = config.head.learning_rate * factor
        step = head.step(queries * scale.detach(), inputs.relevance[rows], rate)
    leaf = encoding.embeddings.requires_grad_()
    (scale * leaf).backward(step.gradient[start:stop].to(leaf.dtype))
    if leaf.grad is not None:
        encoding.backward(leaf.grad)
    return step.loss.to(leaf.dtype)
