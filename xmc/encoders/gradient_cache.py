"""Encode many texts within the memory of one micro-batch, and still get every parameter's gradient.

The first pass encodes without a graph; once the loss has given the gradient of each embedding, each
micro-batch is encoded again, with a graph and the same random state, and takes its part of that gradient
(Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup",
arXiv:2101.06983).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from xmc.encoders.batching import gather_rows, pack_by_length
from xmc.encoders.tower import Tower

__all__ = ["CachedEncoding", "encode_with_cache"]

AutocastFactory = Callable[[], AbstractContextManager[object]]


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
        for batch in self._batches:
            with _replayed(self._tower.device, batch.random_state), torch.enable_grad(), self._autocast():
                output = self._tower(batch.ids, batch.offsets)
            _backward(output, gradient[torch.from_numpy(batch.rows).to(gradient.device)])


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
        with torch.enable_grad(), autocast():
            graph = tower(ids, offsets)
        return CachedEncoding(graph.detach(), tower, autocast, graph)
    embeddings = torch.empty(len(lengths), tower.dimension, device=tower.device)
    kept = []
    for rows in batches:
        batch = _MicroBatch(rows, *gather_rows(ids, offsets, rows), _random_state(tower.device))
        with torch.no_grad(), autocast():
            output = tower(batch.ids, batch.offsets)
        embeddings[torch.from_numpy(rows).to(tower.device)] = output
        kept.append(batch)
    return CachedEncoding(embeddings, tower, autocast, None, kept)


def _backward(output: Tensor, gradient: Tensor) -> None:
    if output.requires_grad:  # a frozen tower has none
        output.backward(gradient.to(output.dtype))


def _random_state(device: torch.device) -> list[Tensor]:
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
