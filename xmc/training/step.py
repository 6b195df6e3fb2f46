"""One training step: pool, encode, score, and the gradients of everything learned, on one rank or many.

Every rank draws the same batch and the same pool, encodes its share of the queries and its shard of the pool,
scores
all queries against its shard, and carries the gradients back through both encoders in micro-batches.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from xmc.data import TokenRows, TokenStore
from xmc.distributed import World, all_gather_rows
from xmc.distributed.stopwatch import SILENT, StopWatch
from xmc.encoders import CachedEncoding, Tower, encode_with_cache
from xmc.objectives.objective import Loss
from xmc.scoring import LabelShard, ScoreInputs
from xmc.training.batches import Pool
from xmc.training.batches.label_sources import LabelSources
from xmc.training.config import TrainConfig
from xmc.training.learned.frozen_encoder import FrozenEncoder, residual_rows
from xmc.training.learned.learner import Learner

__all__ = ["StepInputs", "accumulate_gradients", "encode_rows"]


class Autocast(Protocol):
    """Makes the context that encoders run in."""

    def __call__(self) -> AbstractContextManager[None]: ...


@dataclass(frozen=True)
class StepInputs:
    """What stays the same from step to step on this rank."""

    config: TrainConfig
    learner: Learner
    queries: TokenRows
    labels: TokenStore
    relevance: sp.csr_matrix
    sources: LabelSources
    objective: Loss
    world: World
    device: torch.device
    autocast: Autocast
    watch: StopWatch = SILENT

    def frozen_encoder(self) -> FrozenEncoder:
        """The encoder as it is, for embeddings without a gradient."""
        return FrozenEncoder(
            self.learner.encoder,
            residual_rows(self.learner.residuals),
            self.queries,
            self.labels,
            self.config.training.micro_batch_tokens,
            self.autocast,
        )


def accumulate_gradients(inputs: StepInputs, rows: np.ndarray, draw: int) -> Tensor:
    """Score one global batch and add its gradients to the parameters' ``.grad`` on this rank.

    Args:
        inputs: What stays the same.
        rows: [B] training row ids of the global batch, the same on every rank.
        draw: The number of this batch since the start of the run; decides the pool and, with the rank,
            the dropout.

    Returns:
        The loss of the global batch over ``accumulation``, a detached scalar, equal on every rank. The
        gradients are
        this rank's part; their sum over ranks is the gradient of the loss.
    """
    config, world, encoder, watch = inputs.config, inputs.world, inputs.learner.encoder, inputs.watch
    torch.manual_seed(hash((config.seed, draw, world.rank)) & 0x7FFFFFFF)
    with watch.part("pool"):
        pool = inputs.sources.pools.pool(inputs.relevance[rows], draw, rows)
    start, stop = world.shard(len(rows))
    queries = encode_rows(inputs, encoder.query_tower, inputs.queries, rows[start:stop])
    start, stop = world.shard(len(pool.label_ids))
    labels = encode_rows(inputs, encoder.label_tower, inputs.labels, pool.label_ids[start:stop])
    watch.count("scores", len(rows) * (stop - start))
    query_leaf = queries.embeddings.requires_grad_()
    label_leaf = labels.embeddings.requires_grad_()
    with watch.part("scoring"):
        residuals, vectors = inputs.learner.residuals, label_leaf
        if residuals is not None:
            vectors = residuals.join(label_leaf, pool.label_ids, (start, stop), draw)
        gathered = all_gather_rows(query_leaf, len(rows), world)
        loss = _loss(inputs, gathered, vectors, pool, (start, stop), draw)
        loss = loss / config.training.accumulation
        loss.backward()
        if residuals is not None:
            residuals.collect(world)
    if inputs.sources.memory is not None:
        with watch.part("memory"):
            fresh = inputs.frozen_encoder().with_residuals(
                labels.embeddings.detach(), pool.label_ids[start:stop]
            )
            inputs.sources.memory.keep(pool.label_ids, fresh, draw)
    loss = loss.detach()  # its graph holds the score tiles, which the replay below has no use for
    with watch.part("replay"):
        for encoding, leaf in ((queries, query_leaf), (labels, label_leaf)):
            if leaf.grad is not None:
                encoding.backward(leaf.grad)
    return loss


def encode_rows(inputs: StepInputs, tower: Tower, tokens: TokenRows, rows: np.ndarray) -> CachedEncoding:
    """The embeddings of texts by a tower, and the way back through it.

    Args:
        inputs: Of the step; its watch is told.
        tower: Of the queries or the labels.
        tokens: Of all its texts.
        rows: [n] int64, which of them to encode.
    """
    budget = inputs.config.training.micro_batch_tokens
    inputs.watch.count("texts", len(rows))
    with inputs.watch.part("tokens"):
        ids, offsets = tokens.gather(rows)
    with inputs.watch.part("encode"):
        return encode_with_cache(tower, ids, offsets, max_tokens=budget, autocast=inputs.autocast)


def _loss(
    inputs: StepInputs, queries: Tensor, labels: Tensor, pool: Pool, bounds: tuple[int, int], draw: int
) -> Tensor:
    start, stop = bounds
    scoring = inputs.config.scoring
    ids = torch.from_numpy(pool.label_ids[start:stop]).to(inputs.device)
    weights = (
        None if pool.log_weights is None else torch.from_numpy(pool.log_weights[start:stop]).to(inputs.device)
    )
    scored = ScoreInputs(
        queries,
        labels,
        pool.positives,
        scale=inputs.learner.parameters.scale,
        offsets=inputs.learner.parameters.offsets(ids),
        log_weights=weights,
        shard=LabelShard(start, len(pool.label_ids), inputs.world),
        implementation=scoring.implementation,
        memory_bytes=scoring.memory_mb << 20,
        extra=inputs.sources.extra(pool, draw, inputs.learner.parameters.label_offsets),
    )
    return inputs.objective(scored)
