"""One optimiser step: batches, their encoding, their scores, and the gradients of everything learned.

Every rank draws the same batch, encodes its share of the queries and its shard of the pool, scores all
queries against its shard, and carries the gradients back through both encoders in micro-batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from xmc.data import TokenRows
from xmc.distributed import World, all_gather_rows
from xmc.distributed.stopwatch import SILENT, Watch
from xmc.distributed.world import LateNumber, to_device
from xmc.encoders import CachedEncoding, Tower, encode_with_cache
from xmc.encoders.micro_batches import AutocastFactory, backward_from
from xmc.errors import NonFiniteError
from xmc.heads import FactoredHead
from xmc.objectives.objective import Loss
from xmc.objectives.state import LossStates
from xmc.random_streams import Stream, seed_torch
from xmc.scoring import ExtraNegatives, FrozenLabels, LabelShard, RowsApart, ScoreInputs
from xmc.training.batches.batch import Batch, Moment, Pool
from xmc.training.batches.batches import Batches
from xmc.training.config import TrainConfig
from xmc.training.learned.frozen_encoder import FrozenEncoder
from xmc.training.learned.label_texts import LabelTextRows
from xmc.training.learned.learner import Learner, warmup_linear_decay
from xmc.training.memory_limit import MicroBatchLimit
from xmc.training.objective_failures import OwnCode, raise_named

__all__ = ["StepInputs", "StepResult", "accumulate_gradients", "optimise", "step_head"]

T = TypeVar("T")


@dataclass(frozen=True)
class StepInputs:
    """What stays the same from step to step on this rank."""

    config: TrainConfig
    num_steps: int
    learner: Learner
    queries: TokenRows
    labels: TokenRows
    batches: Batches
    frozen: FrozenEncoder
    objective: Loss
    world: World
    device: torch.device
    autocast: AutocastFactory
    limit: MicroBatchLimit
    watch: Watch = SILENT
    label_rows: LabelTextRows | None = None
    """Where each label's texts are among ``labels``, where labels have several."""
    states: LossStates | None = None
    """What the objective keeps from batch to batch, where it keeps anything."""
    own: tuple[OwnCode, ...] = ()
    """Code of the user's own, which errors in it are to name."""


@dataclass(frozen=True)
class StepResult:
    """What one optimiser step came to, equal on every rank.

    Attributes:
        loss: Mean over its batches, before the step; a detached scalar.
        norm: Of the encoder's gradient, before clipping; None where a loss that is not finite came before it.
        factor: The share of the peak rates that it was taken at.
        not_finite: What said that a loss is not finite, or None.
        queries: [n] int64, the training queries of its batches.
    """

    loss: Tensor
    norm: LateNumber | None
    factor: float
    not_finite: str | None
    queries: np.ndarray

    @property
    def is_known(self) -> bool:
        """Whether its norm and whether it was skipped can be asked for without waiting for a GPU."""
        return self.norm is None or self.norm.is_there

    @property
    def gradient_norm(self) -> float | None:
        """The norm as a number, which may be waited for."""
        return None if self.norm is None else float(self.norm)

    @property
    def skipped(self) -> str | None:
        """Why no optimiser stepped, or None; may be waited for as the norm is.

        A head steps by itself, batch after batch: it stays as it was where queries are not finite, not where
        only the encoder's gradient is.
        """
        norm = self.gradient_norm
        return self.not_finite if norm is None or math.isfinite(norm) else f"the gradient's norm is {norm}"


def optimise(inputs: StepInputs, step: int) -> StepResult:
    """Take the optimiser step after ``step`` of them; one whose loss or gradient is not finite is skipped.

    Raises:
        ConfigError: When code of the user's own fails, forwards or backwards, naming it and its line.
        OutOfMemoryError: As :func:`accumulate_gradients`.
    """
    try:
        return _optimise(inputs, step)
    except Exception as error:
        raise_named(inputs.own, error)
        raise


def _optimise(inputs: StepInputs, step: int) -> StepResult:
    training, learner, batches = inputs.config.training, inputs.learner, inputs.batches
    learner.zero_grad()
    not_finite: str | None = None
    drawn: list[np.ndarray] = []
    loss = torch.zeros((), device=inputs.device)
    factor = warmup_linear_decay(step, inputs.num_steps, training.warmup)
    for batch_index in range(step * training.accumulation, (step + 1) * training.accumulation):
        moment = Moment(batch_index, step, inputs.frozen, learner.parameters)
        batch = batches.next(moment, inputs.watch)
        drawn.append(batch.queries)
        try:
            if learner.head is not None:
                loss += step_head(inputs, learner.head, batch, factor)
                continue
            part, embeddings = accumulate_gradients(inputs, batch)
        except NonFiniteError as error:  # raised alike on every rank, before anything is changed
            part, not_finite = loss.new_tensor(torch.nan), str(error)
        else:
            if inputs.states is not None:
                inputs.states.commit()
            batches.after(batch, embeddings, moment, inputs.watch)
        loss += part
    norm, behind = None, _runs_behind(inputs.device)
    if step + 1 < inputs.num_steps and behind:
        # The host has time now, while the GPU is at work.
        index = (step + 1) * training.accumulation
        batches.draw_ahead(Moment(index, step + 1, inputs.frozen, learner.parameters), inputs.watch)
    if not_finite is None:
        norm = learner.apply_gradients(factor, inputs.watch, unasked=behind)
    return StepResult(loss, norm, factor, not_finite, np.concatenate(drawn))


def _runs_behind(device: torch.device) -> bool:
    """Whether what is launched on a device is still to be done when the call returns."""
    return device.type == "cuda"


def accumulate_gradients(inputs: StepInputs, batch: Batch) -> tuple[Tensor, Tensor]:
    """Score one global batch and add its gradients to the parameters' ``.grad`` on this rank.

    Returns:
        The loss of the batch over ``accumulation``, a scalar that is equal on every rank, and the embeddings
        [n, D] of this rank's shard of the pool, both detached. The gradients are this rank's part; their sum
        over ranks is the gradient of the loss.

    Raises:
        NonFiniteError: When the loss is not finite, on every rank.
        OutOfMemoryError: When memory runs out with the smallest micro-batches, or while ranks wait for one
            another.
    """
    limit, put_back = inputs.limit, inputs.learner.gradients_so_far()
    while True:
        before, result, said = limit.halvings, None, ""
        try:
            result = _take(inputs, batch)
        except NonFiniteError:
            _agreed_halvings(inputs)  # one rank alone may have halved before all raised
            raise
        except Exception as error:
            said = limit.shortage(error)
        if result is None:
            limit.halve(said)
        if _agreed_halvings(inputs) == before and result is not None:
            return result
        limit.check(said)
        put_back()


def _take(inputs: StepInputs, batch: Batch) -> tuple[Tensor, Tensor]:
    """Carry a batch through; memory that runs out on one rank alone runs out in the replay, the last part."""
    world, encoder, watch, pool = inputs.world, inputs.learner.encoder, inputs.watch, batch.pool
    start, stop = world.shard(len(pool.label_ids))

    def encode() -> tuple[CachedEncoding, CachedEncoding]:
        first, last = world.shard(len(batch.queries))
        queries = _encode(inputs, encoder.query_tower, inputs.queries, batch.queries[first:last])
        own = pool.label_ids[start:stop]
        if inputs.label_rows is not None:
            # Drawn for the whole pool, so that every number of ranks draws alike.
            own = inputs.label_rows.of_batch(pool.label_ids, batch.batch_index)[start:stop]
        return queries, _encode_labels(inputs, own)

    queries, labels = _fitting(inputs, batch, encode)
    query_leaf = queries.embeddings.requires_grad_()
    # Without a gradient where labels are not trained, which spares scoring two of four products.
    label_leaf = labels.embeddings.requires_grad_(inputs.frozen.kept is None)
    try:
        with watch.part("scoring"):
            residuals, vectors = inputs.learner.residuals, label_leaf
            if residuals is not None:
                vectors = residuals.join(label_leaf, pool.label_ids, (start, stop), batch.batch_index)
            gathered = all_gather_rows(query_leaf, len(batch.queries), world)
            loss = _loss(inputs, gathered, vectors, batch, (start, stop))
            loss = loss / inputs.config.training.accumulation
            loss.backward()
    except Exception as error:
        if world.size > 1:  # others wait in it
            inputs.limit.refuse(error)
        raise
    loss = loss.detach()  # its graph holds the score tiles, which the replay below has no use for
    with watch.part("replay"):
        for encoding, leaf in ((queries, query_leaf), (labels, label_leaf)):
            if leaf.grad is not None:
                encoding.backward(leaf.grad)
    inputs.batches.seen(batch, gathered.detach())
    return loss, label_leaf.detach()


def step_head(inputs: StepInputs, head: FactoredHead, batch: Batch, factor: float) -> Tensor:
    """Step the head on one global batch, and add the encoder's gradients to ``.grad`` on this rank.

    The head is the same on every rank: all ranks gather all queries and take the same step on all labels,
    which costs nothing that grows with their number, and no rank sends a gradient of the head.

    Args:
        inputs: What stays the same.
        head: The head.
        batch: Of a pool of all labels.
        factor: The share of the head's peak rate to step at.

    Returns:
        The loss of the global batch before the step, a detached scalar, equal on every rank. The gradients
        are this rank's part; their sum over ranks is the gradient of the loss.

    Raises:
        NonFiniteError: When queries are not finite, on every rank; the head is left alone.
    """
    world, count = inputs.world, len(batch.queries)
    start, stop = world.shard(count)
    tower, rows = inputs.learner.encoder.query_tower, batch.queries[start:stop]
    while True:
        before = inputs.limit.halvings
        encoding = _fitting(inputs, batch, lambda: _encode(inputs, tower, inputs.queries, rows))
        # Before the head steps, which cannot step back: nobody goes on with larger ones than another rank's.
        if _agreed_halvings(inputs) == before:
            break
    with inputs.watch.part("head"):
        queries = all_gather_rows(encoding.embeddings, count, world)
        finite = torch.isfinite(queries).all(1)
        if not finite.all():
            raise NonFiniteError(
                f"expected finite embeddings of queries, got {int((~finite).sum())} of {count} that are not: "
                "lower the learning rate, or clip gradients"
            )
        scale = inputs.learner.parameters.scale
        rate = inputs.config.head.learning_rate * factor
        step = head.step(queries * scale.detach(), batch.pool.positives, rate, masked=batch.pool.masked)
    inputs.batches.seen(batch, queries)
    leaf = encoding.embeddings.requires_grad_()
    backward_from(scale * leaf, step.gradient[start:stop].to(leaf.dtype))
    if leaf.grad is not None:
        try:
            encoding.backward(leaf.grad)
        except Exception as error:  # the head has stepped, and cannot step back
            inputs.limit.refuse(error)
            raise
    return step.loss.to(leaf.dtype)


def _agreed_halvings(inputs: StepInputs) -> int:
    """The halvings of micro-batches that hold on all ranks from here on."""
    if inputs.world.size > 1:  # one rank neither asks nor waits for its device
        inputs.limit.agree(inputs.world, inputs.device)
    return inputs.limit.halvings


def _fitting(inputs: StepInputs, batch: Batch, encode: Callable[[], T]) -> T:
    """What ``encode`` makes, in smaller micro-batches where it does not fit; other ranks do not notice."""
    while True:
        counters = batch.batch_index, inputs.world.rank
        seed_torch(inputs.device, inputs.config.seed, Stream.DROPOUT, *counters)
        inputs.limit.smaller = False
        try:
            return encode()
        except Exception as error:
            said = inputs.limit.shortage(error)
        inputs.limit.halve(said)
        inputs.limit.check(said)


def _encode(inputs: StepInputs, tower: Tower, tokens: TokenRows, rows: np.ndarray) -> CachedEncoding:
    """The embeddings of some texts (``rows`` [n] of the tokens) by a tower, and the way back through it."""
    with inputs.watch.part("tokens"):
        ids, offsets = tokens.gather(rows)
    with inputs.watch.part("encode"):
        whole = inputs.config.training.micro_batch_tokens or tower.micro_batch_tokens
        budget = max(1, whole >> inputs.limit.halvings)
        # A text is never cut: micro-batches of the longest one are the smallest.
        inputs.limit.smaller |= min(budget, len(ids)) > np.diff(offsets).max(initial=1)
        return encode_with_cache(tower, ids, offsets, max_tokens=budget, autocast=inputs.autocast)


def _encode_labels(inputs: StepInputs, label_ids: np.ndarray) -> CachedEncoding:
    """As :func:`_encode`; where the label tower is not trained, vectors that are kept, with no way back."""
    tower = inputs.learner.encoder.label_tower
    if inputs.frozen.kept is None:
        return _encode(inputs, tower, inputs.labels, label_ids)
    with inputs.watch.part("encode"):
        return CachedEncoding(inputs.frozen.kept_labels(label_ids), tower, inputs.autocast)


def _loss(
    inputs: StepInputs, queries: Tensor, labels: Tensor, batch: Batch, bounds: tuple[int, int]
) -> Tensor:
    (start, stop), pool, scoring = bounds, batch.pool, inputs.config.scoring
    every = to_device(pool.label_ids, inputs.device)
    weights = None if pool.log_weights is None else to_device(pool.log_weights[start:stop], inputs.device)
    scored = ScoreInputs(
        queries,
        labels,
        pool.positives,
        scale=inputs.learner.parameters.scale,
        offsets=inputs.learner.parameters.offsets(every[start:stop]),
        log_weights=weights,
        shard=LabelShard(start, len(pool.label_ids), inputs.world),
        implementation=scoring.implementation,
        memory_bytes=None if scoring.memory_mb is None else scoring.memory_mb << 20,
        products=torch.bfloat16 if scoring.precision == "bf16" else None,
        extra=_extra(batch),
        masked=pool.masked,
        apart=_apart(inputs, pool, (start, stop)),
        batch_index=batch.batch_index,
        targets=batch.targets,
        label_ids=every,
        row_weights=_row_weights(inputs, batch),
    )
    return inputs.objective(scored)


def _row_weights(inputs: StepInputs, batch: Batch) -> Tensor | None:
    """What each query of a batch counts for, [B]; None where all count alike."""
    return None if batch.weights is None else to_device(batch.weights, inputs.device)


def _apart(inputs: StepInputs, pool: Pool, bounds: tuple[int, int]) -> RowsApart | None:
    if pool.apart is None:
        return None
    rows, weights = pool.apart.rows, pool.apart.log_weights[slice(*bounds)]
    return RowsApart(to_device(rows, inputs.device), to_device(weights, inputs.device))


def _extra(batch: Batch) -> ExtraNegatives | None:
    certain, outside = batch.pool.certain, batch.outside
    if certain is None and outside is None:
        return None
    if outside is None or isinstance(outside, FrozenLabels):
        return ExtraNegatives(certain, outside)
    return ExtraNegatives(certain, moments=outside)
