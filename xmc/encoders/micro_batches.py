"""Texts in micro-batches: packed by length, and encoded within the memory of one with every gradient.

Tokens are ragged arrays: flat ids and offsets. With the gradient cache the first pass encodes without a
graph; once the loss has given the gradient of each embedding, each micro-batch is encoded again, with a graph
and the same random state, and takes its part of that gradient (Gao et al. 2021, "Scaling Deep Contrastive
Learning Batch Size under Memory Limited Setup", arXiv:2101.06983).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xmc.distributed.world import to_device
from xmc.encoders.tower import Tower

__all__ = [
    "AutocastFactory",
    "CachedEncoding",
    "backward_from",
    "encode_with_cache",
    "flatten_tokens",
    "gather_rows",
    "pack_by_length",
]

AutocastFactory = Callable[[], AbstractContextManager[object]]
"""Makes the context that a tower runs in."""


def flatten_tokens(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Token lists of N texts as flat ids (int32 [t]) and offsets (int64 [N + 1]).

    Row ``i`` is ``ids[offsets[i]:offsets[i + 1]]``.
    """
    lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    ids = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(offsets[-1]))
    return ids, offsets


def gather_rows(ids: np.ndarray, offsets: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The token lists of ``rows`` (int [n]), in that order, as flat ids [t] and offsets (int64 [n + 1]).

    Consecutive rows come back as a view of ``ids`` without a copy.
    """
    lengths = offsets[rows + 1] - offsets[rows]
    gathered = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all()):
        return ids[offsets[rows[0]] : offsets[rows[-1] + 1]], gathered
    # Token k of the output is token k + shift of the input, with one shift for all tokens of a text.
    shift = np.repeat(offsets[rows] - gathered[:-1], lengths)
    return ids[shift + np.arange(gathered[-1])], gathered


def pack_by_length(lengths: np.ndarray, max_tokens: int, padded: bool) -> list[np.ndarray]:
    """Split N rows into micro-batches of at most ``max_tokens`` tokens; a longer row is a batch by itself.

    Args:
        lengths: Tokens of each row, int [N]; an empty row counts as one token.
        max_tokens: Most tokens of a micro-batch, padding included.
        padded: True when a batch costs rows x its longest row: rows are then sorted by length, longest first.
            False when it costs its total of tokens: rows then keep their order, which spares a copy.

    Returns:
        Row positions of each micro-batch, int64; together every row once.

    Raises:
        ValueError: When ``max_tokens`` is not positive.
    """
    if max_tokens < 1:
        raise ValueError(f"expected max_tokens to be at least 1, got {max_tokens}")
    cost = np.maximum(np.asarray(lengths, dtype=np.int64), 1)
    if padded:
        # Neighbours of about one length waste little padding, and the first row of a batch is its longest.
        order = np.argsort(-cost, kind="stable")
        return _cut(order, lambda start: max_tokens // int(cost[order[start]]))
    # As many further rows as keep the running total within the budget, by bisection of the running total.
    total = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(cost)])
    return _cut(
        np.arange(len(cost)),
        lambda start: int(np.searchsorted(total, total[start] + max_tokens, side="right")) - 1 - start,
    )


@dataclass
class _MicroBatch:
    rows: np.ndarray
    ids: np.ndarray
    offsets: np.ndarray
    random_state: list[Tensor]


@dataclass
class CachedEncoding:
    """Embeddings of n texts, and the way back to the tower's parameters.

    ``embeddings`` is [n, D] float32, detached. Built by ``encode_with_cache``.
    """

    embeddings: Tensor
    _tower: Tower
    _autocast: AutocastFactory
    _graph: Tensor | None = None
    _batches: list[_MicroBatch] = field(default_factory=list)

    def backward(self, gradient: Tensor) -> None:
        """Add the gradients of ``sum(gradient * embeddings)`` to the parameters' ``.grad``; call it once.

        Args:
            gradient: Gradient of the loss by each embedding, [n, D].

        Raises:
            ValueError: When the gradient's shape is not that of the embeddings.
        """
        if gradient.shape != self.embeddings.shape:
            expected, got = tuple(self.embeddings.shape), tuple(gradient.shape)
            raise ValueError(f"expected a gradient of shape {expected}, got {got}")
        if self._graph is not None:
            graph, self._graph = self._graph, None
            _backward(graph, gradient)
        # The chain rule through a cache: the gradient by w is sum_i (d loss / d e_i)(d e_i / d w). With the
        # first factor known for all texts, the sum is taken one micro-batch at a time.
        for batch in self._batches:
            # The same dropout masks as in the first pass, or the gradient would be that of other embeddings
            # than those the loss was computed from.
            with _replayed(self._tower.device, batch.random_state), torch.enable_grad(), self._autocast():
                output = self._tower(batch.ids, batch.offsets)
            _backward(output, gradient[to_device(batch.rows, gradient.device)])


def encode_with_cache(
    tower: Tower,
    ids: np.ndarray,
    offsets: np.ndarray,
    *,
    max_tokens: int | None = None,
    autocast: AutocastFactory = nullcontext,
) -> CachedEncoding:
    """Encode n texts in micro-batches, in the tower's present mode (dropout is active in train mode).

    When all fit one micro-batch its graph is kept, and nothing is computed twice.

    Args:
        tower: The encoder of these texts.
        ids: Flat token ids, int32 [t].
        offsets: Where each text starts, int64 [n + 1].
        max_tokens: Most tokens of a micro-batch, padding included; None is ``tower.micro_batch_tokens``.
        autocast: Makes the context each pass runs in, the replay too.
    """
    lengths = np.diff(offsets)
    batches = pack_by_length(lengths, max_tokens or tower.micro_batch_tokens, tower.padded)
    if len(batches) <= 1:
        # A replay would hold the graph of one micro-batch, and this is one: its graph may as well be kept.
        with torch.enable_grad(), autocast():
            graph = tower(ids, offsets)
        return CachedEncoding(graph.detach(), tower, autocast, graph)
    # Detached: the loss's backward pass stops at the embeddings, and the towers get their part in backward().
    embeddings = torch.empty(len(lengths), tower.dimension, device=tower.device)
    kept = []
    for rows in batches:
        # The state before the pass, which draws from it.
        batch = _MicroBatch(rows, *gather_rows(ids, offsets, rows), _random_state(tower.device))
        with torch.no_grad(), autocast():
            output = tower(batch.ids, batch.offsets)
        embeddings[to_device(rows, tower.device)] = output
        kept.append(batch)
    return CachedEncoding(embeddings, tower, autocast, None, kept)


def _cut(order: np.ndarray, count_from: Callable[[int], int]) -> list[np.ndarray]:
    batches, start = [], 0
    while start < len(order):
        stop = start + max(1, count_from(start))
        batches.append(order[start:stop])
        start = stop
    return batches


def _backward(output: Tensor, gradient: Tensor) -> None:
    if output.requires_grad:  # a frozen tower has none
        backward_from(output, gradient.to(output.dtype))


def backward_from(output: Tensor, gradient: Tensor) -> None:
    """``output.backward(gradient)``, without the part of torch's compiler that compares their shapes.

    It is imported at the first such call, which takes a second.

    Args:
        output: Of any shape.
        gradient: Of the same shape and type.
    """
    _Known.apply(output, gradient).backward()  # type: ignore[no-untyped-call]


class _Known(torch.autograd.Function):
    """A number whose gradient by ``output`` is ``gradient``."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, gradient: Tensor) -> Tensor:
        """0, for the root of a graph."""
        ctx.gradient = gradient
        return output.new_zeros(())

    @staticmethod
    def backward(ctx: Any, one: Tensor) -> tuple[Tensor, None]:
        """The gradient as it was given; ``one`` is 1."""
        return ctx.gradient, None


def _random_state(device: torch.device) -> list[Tensor]:
    # Parts of a model on an accelerator may still draw on the CPU, so both are kept.
    states = [torch.get_rng_state()]
    if device.type != "cpu":
        states.append(torch.get_device_module(device).get_rng_state(*_which(device)))
    return states


@contextmanager
def _replayed(device: torch.device, states: list[Tensor]) -> Iterator[None]:
    """Run the block from ``states``, then put the generators back where they were."""
    before = _random_state(device)
    _set_random_state(device, states)
    try:
        yield
    finally:
        _set_random_state(device, before)


def _set_random_state(device: torch.device, states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.get_device_module(device).set_rng_state(states[1], *_which(device))


def _which(device: torch.device) -> tuple[torch.device, ...]:
    return () if device.type == "mps" else (device,)  # torch.mps has one device and takes no argument
