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
from xmc.training.batches.batch import Batch, Moment, Pool
from xmc.training.batches.memory.label_memory import LabelMemory
from xmc.training.batches.source import BatchSource
from xmc.training.learned.frozen_encoder import FrozenEncoder

__all__ = ["RememberedLabels"]

LABELS_AT_ONCE = 65_536


class RememberedLabels(BatchSource):
    """A :class:`.label_memory.LabelMemory` that is filled at first and refreshed in turn.

    Before each batch the labels whose turn it is are encoded by the weights as they are, without dropout;
    after it those of the pool are kept too, as they were encoded for it, with all their residuals. Ranks
    share the encoding and gather it, so that the memory does not depend on their number.
    """

    name = "memory"

    def __init__(self, memory: LabelMemory, refresh: int, seed: int) -> None:
        self.memory, self.refresh, self.seed = memory, refresh, seed
        self.filled = False

    @property
    def world(self) -> World:
        """The ranks that share the memory."""
        return self.memory.world

    def before(self, moment: Moment) -> None:
        """Fill the memory, or encode the labels whose turn it is.

        Over W ranks: one all-gather of the refreshed embeddings; see also :meth:`LabelMemory.write`.
        """
        if not self.filled:
            self._fill(moment.batch_index, moment.encoder)
        # In the batch that fills the memory all labels are fresh.
        elif self.refresh:
            ids = self.memory.turn(moment.batch_index, self.refresh)
            start, stop = self.world.shard(len(ids))
            fresh = all_gather_rows(moment.encoder.encode_labels(ids[start:stop]), len(ids), self.world)
            self.memory.write(ids, fresh, moment.batch_index, measure=True)

    def outside(self, pool: Pool, moment: Moment) -> FrozenLabels | LabelMoments:
        """The labels outside the pool: their moments where the memory keeps those, else as vectors.

        See :meth:`LabelMemory.outside` and :meth:`LabelMemory.frozen`.
        """
        if self.memory.moments is not None:
            return self.memory.outside(pool.label_ids)
        learned = moment.scores.label_offsets
        # Offsets as they are now; unlike embeddings they cost nothing to keep fresh.
        offsets = None if learned is None else learned.detach()
        return self.memory.frozen(pool.label_ids, moment.batch_index, self.seed, offsets, pool.dropped)

    def after(self, batch: Batch, embeddings: Tensor, moment: Moment) -> None:
        """Keep the pool's embeddings, with all their residuals.

        Over W ranks: one all-gather; see also :meth:`LabelMemory.write`.
        """
        ids = batch.pool.label_ids
        start, stop = self.world.shard(len(ids))
        # A step leaves some residuals out (dropout); what is remembered is the label as it will be ranked.
        local = moment.encoder.with_residuals(embeddings, ids[start:stop])
        self.memory.write(ids, all_gather_rows(local, len(ids), self.world), batch.batch_index)

    def metrics(self, batch_index: int, step: int) -> dict[str, Any]:
        """How stale the memory is, in batches; see :class:`.label_memory.Staleness`."""
        stale = self.memory.staleness(batch_index)
        return {"stale_mean": round(stale.mean, 2), "stale_max": stale.oldest, "drift": stale.drift}

    def tensors(self) -> dict[str, Tensor]:
        """The whole memory on the main rank, for a checkpoint; nothing on the others. One gather of L x D."""
        memory, total = self.memory, self.memory.num_labels
        embeddings = gather_rows_to_main(memory.embeddings.to(memory.device), total, self.world)
        written = gather_rows_to_main(torch.from_numpy(memory.written).to(memory.device), total, self.world)
        if embeddings is None or written is None:
            return {}
        moments = {} if memory.moments is None else memory.moments.tensors()
        named = {f"moments.{name}": tensor for name, tensor in moments.items()}
        return {"embeddings": embeddings, "written": written, **named}

    def load(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Take this rank's labels of a checkpoint's memory; moments that it lacks are counted anew.

        Raises:
            ConfigError: When the checkpoint holds a memory of another shape, or none.
        """
        found = tensors.get("embeddings")
        wanted = (self.memory.num_labels, self.memory.dimension)
        if found is None or tuple(found.shape) != wanted:
            raise ConfigError(
                f"expected a checkpoint with a label memory of shape {list(wanted)}, got "
                f"{None if found is None else list(found.shape)}: resume with the run's own negatives.memory"
            )
        start, stop = self.memory.bounds
        self.memory.embeddings.copy_(found[start:stop])
        self.memory.written[:] = tensors["written"][start:stop].numpy()
        if self.memory.moments is not None:
            named = {name: tensors.get(f"moments.{name}") for name in self.memory.moments.tensors()}
            # Moments are of the embeddings as they were rounded: for another type they are counted anew.
            if found.dtype == self.memory.embeddings.dtype and None not in named.values():
                self.memory.moments.load_tensors({name: x for name, x in named.items() if x is not None})
            else:
                self.memory.count_moments()
        self.filled = True

    def close(self) -> None:
        """Remove a memory on disk."""
        self.memory.close()

    def _fill(self, batch_index: int, encoder: FrozenEncoder) -> None:
        """Each rank its own labels; ranks with fewer of them write nothing in the last round."""
        first, last = self.memory.bounds
        # As many rounds on every rank, as writing is a collective where the memory keeps moments.
        longest = -(-self.memory.num_labels // self.world.size)
        for start in range(first, first + longest, LABELS_AT_ONCE):
            ids = np.arange(min(start, last), min(start + LABELS_AT_ONCE, last))
            self.memory.write(ids, encoder.encode_labels(ids), batch_index)
        self.filled = True
