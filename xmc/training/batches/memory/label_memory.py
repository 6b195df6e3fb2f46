"""The label memory: an embedding of every label from some earlier step, sharded over ranks.

Labels outside a step's pool join its partition function from here, without a gradient. Embeddings grow stale
until they are written again; how stale is counted in batches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from xmc.distributed import World, all_reduce_max, all_reduce_sum
from xmc.distributed.world import to_device
from xmc.errors import ConfigError
from xmc.random_streams import Stream, generator
from xmc.scoring import LabelShard
from xmc.scoring.inputs import FrozenLabels
from xmc.scoring.moments import LabelMoments
from xmc.training.batches.memory.config import MemoryConfig
from xmc.training.batches.memory.running_moments import RunningMoments

__all__ = ["LabelMemory", "Staleness"]

NEVER = -1


@dataclass(frozen=True)
class Staleness:
    """How old the memory is, over all ranks.

    Attributes:
        mean: Batches since a label was written, mean over the labels.
        oldest: The same, of the oldest.
        drift: Mean of ``1 - cosine`` between the old and the new embedding, over the labels that turned since
            the last report; 0 when none were.
    """

    mean: float
    oldest: int
    drift: float


class LabelMemory:
    """This rank's shard of all labels' embeddings, each with the index of the batch it was written at.

    Attributes:
        written: [l] int32, the batch each was written at, -1 for never.
        bounds: The labels of this rank, half open.
        moments: Those of all ranks' embeddings, kept with every write, or None.
    """

    def __init__(
        self,
        config: MemoryConfig,
        num_labels: int,
        dimension: int,
        *,
        world: World | None = None,
        device: torch.device | str = "cpu",
        folder: Path | None = None,
        keeps_moments: bool = False,
    ) -> None:
        """Make room; nothing is written yet.

        Args:
            config: Type, storage, and the labels to sample.
            num_labels: L.
            dimension: D.
            world: The ranks that share the labels.
            device: Where labels are scored, and kept for storage "device".
            folder: Where storage "disk" puts ``label_memory-<rank>.bin``.
            keeps_moments: Whether `outside` will be asked for; then every rank calls `write` together.

        Raises:
            ConfigError: When more labels are to be sampled or refreshed than there are (but the default is
                all of fewer), or the memory is to be scored in
                full on an accelerator from disk.
        """
        self.config, self.num_labels = config, num_labels
        self.world, self.device = world or World(), torch.device(device)
        if config.sample is not None and config.sample > num_labels:
            raise ConfigError(
                f"negatives.memory.sample: expected at most the {num_labels} labels, got {config.sample}; "
                "null scores all"
            )
        if config.refresh > num_labels and config.refresh != MemoryConfig.refresh:
            raise ConfigError(
                f"negatives.memory.refresh: expected at most the {num_labels} labels, got {config.refresh}; "
                f"{num_labels} encodes all anew in each step"
            )
        # Moments are kept on the device: then only the pool's embeddings cross, not all.
        crosses = config.sample is None and not keeps_moments
        if config.storage == "disk" and crosses and self.device.type != "cpu":
            raise ConfigError(
                f"negatives.memory: storage 'disk' on {self.device.type} needs memory.sample, as all labels "
                "would cross to the device each step: set it, or use storage 'device'"
            )
        if config.storage == "disk" and folder is None:
            raise ConfigError("expected a folder for a label memory on disk, got none")
        self.bounds = self.world.shard(num_labels)
        self.dimension = dimension
        self.path = folder / f"label_memory-{self.world.rank}.bin" if folder is not None else None
        self.written = np.full(self.bounds[1] - self.bounds[0], NEVER, dtype=np.int32)
        self.moments = RunningMoments(dimension, self.device) if keeps_moments else None
        # The sum of 1 - cosine since the last report, and how many it is of.
        self._drift = torch.zeros(2, dtype=torch.float64)

    @cached_property
    def embeddings(self) -> Tensor:
        """[l, D], on the device, or memory-mapped; made at first use."""
        count, dtype = len(self.written), getattr(torch, self.config.dtype)
        if self.config.storage == "device":
            return torch.zeros(count, self.dimension, dtype=dtype, device=self.device)
        # Pages are read and written by the system as they are needed, so the memory may be larger than RAM.
        flat = torch.from_file(str(self.path), shared=True, size=count * self.dimension, dtype=dtype)
        return flat.view(count, self.dimension).zero_()

    def close(self) -> None:
        """Remove the file of a memory on disk."""
        if self.config.storage == "disk" and self.path is not None:
            self.path.unlink(missing_ok=True)

    def turn(self, batch_index: int, count: int) -> np.ndarray:
        """The labels of all ranks whose turn it is at a batch, when ``count`` are refreshed each time.

        The turn is a function of the batch's index: each label comes up once in ``ceil(L / count)`` batches,
        and a resumed run goes on where it was, on any number of ranks.

        Returns:
            Label ids, int64, ``min(count, L)`` distinct ones.
        """
        count = min(count, self.num_labels)
        # A window that moves on by its own length and wraps around.
        return (batch_index * count + np.arange(count, dtype=np.int64)) % self.num_labels

    @torch.no_grad()
    def write(
        self, label_ids: np.ndarray, embeddings: Tensor, batch_index: int, *, measure: bool = False
    ) -> None:
        """Keep fresh embeddings; those of other ranks' labels are left to them.

        Args:
            label_ids: [n] int64, distinct.
            embeddings: [n, D] of any floating type, on any device.
            batch_index: Of the batch they are of.
            measure: Whether their drift goes into the next `staleness`.

        Labels whose embedding is not finite keep their old one: a sum that once had NaN in it never loses it.
        A memory that keeps moments needs one all-reduce, of D^2 + D + 1 float64 numbers.
        """
        # Every rank is given all of them, and keeps its own.
        mine = (label_ids >= self.bounds[0]) & (label_ids < self.bounds[1])
        places = label_ids[mine] - self.bounds[0]
        device = self.embeddings.device
        fresh = embeddings[to_device(np.flatnonzero(mine), embeddings.device)].to(device)
        # Rows by number: a mask on a GPU would be waited for, to know how many it has.
        finite = np.flatnonzero(torch.isfinite(fresh).all(1).cpu().numpy())
        places, fresh = places[finite], fresh[to_device(finite, device)]
        rows = to_device(places, device)
        known = to_device(np.flatnonzero(self.written[places] != NEVER), device)
        if measure:
            old = self.embeddings[rows[known]].float()
            cosines = torch.nn.functional.cosine_similarity(old, fresh[known].float())
            self._drift += torch.tensor([float((1 - cosines).double().sum()), len(cosines)])
        if self.moments is not None:
            # As they will be read again, rounded: what is taken out later has to be what was put in.
            kept = to_device(fresh.to(self.embeddings.dtype), self.device)
            # Labels written for the first time are put in and take nothing out.
            self.moments.replace(to_device(self.embeddings[rows[known]], self.device), kept, self.world)
        self.embeddings[rows] = fresh.to(self.embeddings.dtype)
        self.written[places] = batch_index

    def count_moments(self) -> None:
        """Moments of what is kept now, counted from the embeddings: l D^2. Every rank calls it together."""
        self.moments = RunningMoments(self.dimension, self.device)
        self.moments.replace(self.embeddings[:0].to(self.device), self.embeddings.to(self.device), self.world)

    def outside(self, pool_ids: np.ndarray) -> LabelMoments:
        """The moments of all ranks' labels outside the pool: n D^2 for n labels of the pool, whatever L is.

        Over W ranks: one all-reduce of D^2 + D + 1 float64 numbers.

        Args:
            pool_ids: [n] int64, ascending.

        Raises:
            ConfigError: When a label was never written, or the memory keeps no moments.
        """
        self._check_written()
        if self.moments is None:
            raise ConfigError("expected a label memory that keeps moments, got one that does not")
        mine = pool_ids[slice(*np.searchsorted(pool_ids, self.bounds))] - self.bounds[0]
        rows = to_device(mine, self.embeddings.device)
        return self.moments.without(to_device(self.embeddings[rows], self.device), self.world)

    def frozen(
        self,
        pool_ids: np.ndarray,
        batch_index: int,
        seed: int,
        offsets: Tensor | None = None,
        dropped: sp.csr_matrix | None = None,
    ) -> FrozenLabels:
        """The labels outside the pool, as they are scored at ``batch_index``: all, or an even sample.

        A sample takes each rank's share from its own shard; its probability is exact for uneven shards too.

        Args:
            pool_ids: [n] int64, ascending: left out, as the pool scores them.
            batch_index: With ``seed`` and the rank, decides the sample.
            seed: The run's.
            offsets: [L], added to the scores, or None.
            dropped: CSR bool [B, L], positives of the batch's queries that the pool need not have: masked.

        Raises:
            ConfigError: When a label was never written.
        """
        self._check_written()
        start, stop = self.bounds
        mine = pool_ids[slice(*np.searchsorted(pool_ids, self.bounds))] - start
        if self.config.sample is None:
            # All of the shard are scored, the pool's with a weight of 0: that spares a copy without those.
            weights = torch.zeros(stop - start)
            weights[torch.from_numpy(mine)] = -torch.inf
            part = None if offsets is None else offsets[start:stop]
            shard = LabelShard(start, self.num_labels, self.world)
            return FrozenLabels(self.embeddings, to_device(weights, self.device), part, shard, dropped)
        first, last = self.world.shard(self.config.sample)
        draw = generator(seed, Stream.MEMORY_SAMPLE, batch_index, self.world.rank)
        drawn = np.sort(draw.choice(stop - start, last - first, replace=False, shuffle=False))
        # A label outside the pool is in the sample with the chance m / l, so it counts l / m times; a drawn
        # label that is in the pool counts there.
        weights = torch.full((last - first,), math.log((stop - start) / max(last - first, 1)))
        weights[torch.from_numpy(np.isin(drawn, mine))] = -torch.inf
        part = None if offsets is None else offsets[to_device(drawn + start, offsets.device)]
        rows = to_device(drawn, self.embeddings.device)
        embeddings = to_device(self.embeddings[rows], self.device)
        shard = LabelShard(first, self.config.sample, self.world)
        if dropped is not None:
            # The columns of this rank's part of the sample: no rank scores the others'.
            own = dropped[:, drawn + start]
            dropped = sp.csr_matrix(
                (own.data, own.indices + first, own.indptr), shape=(own.shape[0], self.config.sample)
            )
        return FrozenLabels(embeddings, to_device(weights, self.device), part, shard, dropped)

    def _check_written(self) -> None:
        missing = int((self.written == NEVER).sum())
        if missing:
            raise ConfigError(f"expected a memory of all labels, but {missing} were never written")

    def staleness(self, batch_index: int) -> Staleness:
        """How old the memory is at a batch, over all ranks: two small all-reduces. Drift starts over."""
        ages = batch_index - self.written.astype(np.int64)
        # Sums and counts cross, not means, as shards may be uneven.
        sums = torch.cat([torch.tensor([float(ages.sum()), float(len(ages))]).double(), self._drift])
        sums = all_reduce_sum(sums.to(self.device), self.world)
        oldest = all_reduce_max(torch.tensor(float(ages.max(initial=0))).to(self.device), self.world)
        self._drift.zero_()
        return Staleness(
            float(sums[0] / sums[1].clamp_min(1)), int(oldest), float(sums[2] / sums[3].clamp_min(1))
        )
