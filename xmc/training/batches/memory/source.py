"""Keeps the label memory up to date during training, and in checkpoints."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from xmc.distributed import World, all_gather_rows, gather_rows_to_main
from xmc.errors import ConfigError
from xmc.scoring.inputs import FrozenLabels
from xmc.scoring.moments import LabelMoments
from xmc.training.batches import LabelMemory
from xmc.training.learned.frozen_encoder import FrozenEncoder

__all__ = ["RememberedLabels"]

LABELS_AT_ONCE = 65_536


class RememberedLabels:
    """A :class:`xmc.training.batches.LabelMemory` that is filled at first and refreshed in turn.

    Before each batch the labels whose turn it is are encoded by the weights as they are, without dropout;
    after it those of the pool are kept too, as they were encoded for it, with all their residuals. Ranks
    share the encoding and gather it, so that the memory does not depend on their number.
    """

    def __init__(self, memory: LabelMemory, refresh: int, seed: int) -> None:
        self.memory, self.refresh, self.seed = memory, refresh, seed
        self.filled = False

    @property
    def world(self) -> World:
        """The ranks that share the memory."""
        return self.memory.world

    @property
    def by_moments(self) -> bool:
        """Whether the labels outside a pool are given as moments, not as vectors."""
        return self.memory.moments is not None

    def before_batch(self, batch: int, encoder: FrozenEncoder) -> None:
        """Fill the memory, or encode the labels whose turn it is at ``batch``.

        Over W ranks: one all-gather of the refreshed embeddings; see also :meth:`LabelMemory.write`.
        """
        if not self.filled:
            self._fill(batch, encoder)
        elif self.refresh:
            ids = self.memory.turn(batch, self.refresh)
            start, stop = self.world.shard(len(ids))
            fresh = all_gather_rows(encoder.encode_labels(ids[start:stop]), len(ids), self.world)
            self.memory.write(ids, fresh, batch, measure=True)

    def frozen(self, pool_ids: np.ndarray, batch: int, offsets: Tensor | None) -> FrozenLabels:
        """The labels outside the pool, as ``batch`` scores them; see :meth:`LabelMemory.frozen`."""
        return self.memory.frozen(pool_ids, batch, self.seed, offsets)

    def outside(self, pool_ids: np.ndarray) -> LabelMoments:
        """The moments of the labels outside the pool; see :meth:`LabelMemory.outside`."""
        return self.memory.outside(pool_ids)

    def keep(self, pool_ids: np.ndarray, local: Tensor, batch: int) -> None:
        """Keep the pool's embeddings, ``local`` being this rank's shard.

        Over W ranks: one all-gather; see also :meth:`LabelMemory.write`.
        """
        self.memory.write(pool_ids, all_gather_rows(local, len(pool_ids), self.world), batch)

    def metrics(self, batch: int) -> dict[str, Any]:
        """How stale the memory is, in batches; see :class:`.label_memory.Staleness`."""
        stale = self.memory.staleness(batch)
        return {"stale_mean": round(stale.mean, 2), "stale_max": stale.oldest, "drift": stale.drift}

    def tensors(self) -> dict[str, Tensor]:
        """The whole memory on the main rank, for a checkpoint; nothing on the others. One gather of L x D."""
        memory, total = self.memory, self.memory.num_labels
        embeddings = gather_rows_to_main(memory.embeddings.to(memory.device), total, self.world)
        written = gather_rows_to_main(torch.from_numpy(memory.written).to(memory.device), total, self.world)
        if embeddings is None or written is None:
            return {}
        moments = {} if memory.moments is None else memory.moments.tensors()
        named = {f"memory.moments.{name}": tensor for name, tensor in moments.items()}
        return {"memory.embeddings": embeddings, "memory.written": written, **named}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take this rank's labels of a checkpoint's memory; moments that it lacks are counted anew.

        Raises:
            ConfigError: When the checkpoint holds a memory of another shape, or none.
        """
        found = tensors.get("memory.embeddings")
        wanted = (self.memory.num_labels, self.memory.dimension)
        if found is None or tuple(found.shape) != wanted:
            raise ConfigError(
                f"expected a checkpoint with a label memory of shape {list(wanted)}, got "
                f"{None if found is None else list(found.shape)}: resume with the run's own negatives.memory"
            )
        start, stop = self.memory.bounds
        self.memory.embeddings.copy_(found[start:stop])
        self.memory.written[:] = tensors["memory.written"][start:stop].numpy()
        if self.memory.moments is not None:
            named = {name: tensors.get(f"memory.moments.{name}") for name in self.memory.moments.tensors()}
            if found.dtype == self.memory.embeddings.dtype and None not in named.values():
                self.memory.moments.load_tensors({name: x for name, x in named.items() if x is not None})
            else:
                self.memory.count_moments()
        self.filled = True

    def _fill(self, batch: int, encoder: FrozenEncoder) -> None:
        """Each rank its own labels; ranks with fewer of them write nothing in the last round."""
        first, last = self.memory.bounds
        longest = -(-self.memory.num_labels // self.world.size)
        for start in range(first, first + longest, LABELS_AT_ONCE):
            ids = np.arange(min(start, last), min(start + LABELS_AT_ONCE, last))
            self.memory.write(ids, encoder.encode_labels(ids), batch)
        self.filled = True
