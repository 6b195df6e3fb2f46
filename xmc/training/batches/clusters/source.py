"""Batches of neighbouring queries, clustered anew by the encoder as it is when the schedule says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xmc.distributed import World, all_reduce_sum, gather_rows_to_main
from xmc.distributed.world import to_device
from xmc.retrieval.faiss_module import import_faiss
from xmc.training.batches.batch import Batch, Moment
from xmc.training.batches.clusters.config import ClustersConfig
from xmc.training.batches.clusters.kept_vectors import KeptVectors
from xmc.training.batches.clusters.order import balanced_order
from xmc.training.batches.clusters.sampler import ClusteredSampler
from xmc.training.batches.source import BatchSource
from xmc.training.learned.frozen_encoder import FrozenEncoder

__all__ = ["QueryClusters", "cluster_queries"]


def cluster_queries(
    sampler: ClusteredSampler,
    queries: np.ndarray,
    encoder: FrozenEncoder,
    world: World,
    device: torch.device,
    kept: KeptVectors | None = None,
) -> None:
    """Give ``sampler`` a new order of its queries [N], clustered by their current embeddings.

    With ``kept``, by the vectors there, and only those that are missing are encoded. Ranks share the
    encoding; the main one clusters, in memory of N x D half-precision numbers. Over W ranks: one gather of
    the embeddings to rank 0, and one all-reduce of N numbers.
    """
    encoded = queries if kept is None else queries[kept.missing]
    start, stop = world.shard(len(encoded))
    # Enough to find neighbours by, at half the memory and traffic.
    local = encoder.encode_queries(encoded[start:stop]).half()
    gathered = gather_rows_to_main(local, len(encoded), world)
    if gathered is not None and kept is not None and kept.vectors is not None:
        every = np.array(kept.vectors)
        every[kept.missing] = gathered.cpu().numpy()
        gathered = torch.from_numpy(every)
    # Zeros everywhere but on the main rank, so that the sum is a broadcast.
    order = torch.zeros(len(queries), dtype=torch.int64)
    if gathered is not None:
        # The smallest clusters of the schedule: larger ones are runs of these.
        embeddings, leaf = gathered.cpu().numpy(), sampler.schedule.first
        order = torch.from_numpy(balanced_order(embeddings, leaf, sampler.seed, sampler.next_epoch))
    sampler.set_order(all_reduce_sum(order.to(device), world).cpu().numpy())


class QueryClusters(BatchSource):
    """Keeps the order of a :class:`ClusteredSampler` up to date; the sampler's state is its own."""

    name = "clusters"

    def __init__(
        self,
        config: ClustersConfig,
        queries: np.ndarray,
        batch_size: int,
        seed: int,
        world: World,
        device: torch.device,
        *,
        dimension: int,
        folder: Path,
    ) -> None:
        """Prepare; nothing is clustered yet.

        Args:
            config: Sizes and schedule.
            queries: [N], the training queries to draw from.
            batch_size: B, over all ranks.
            seed: Of the order.
            world: The ranks that share the encoding.
            device: Where collectives work.
            dimension: D of the embeddings.
            folder: The run's, for vectors that are kept.

        Raises:
            ConfigError: When batches cannot be made of clusters.
            DependencyError: When FAISS is not installed.
        """
        import_faiss()
        self.sampler = ClusteredSampler(queries, batch_size, seed, config)
        self.queries, self.world, self.device = queries, world, device
        self.kept: KeptVectors | None = None
        if config.vectors == "kept":
            self.kept = KeptVectors(len(queries), dimension, folder, world)
        self._encoded: int | None = None

    def before(self, moment: Moment) -> None:
        """Cluster where an epoch begins that wants it; see :func:`cluster_queries` for the collectives."""
        if self.sampler.clustering_due:
            self._encoded = len(self.queries if self.kept is None else self.kept.missing)
            cluster_queries(self.sampler, self.queries, moment.encoder, self.world, self.device, self.kept)

    def seen(self, batch: Batch, embeddings: Tensor) -> None:
        """Keep the vectors of the batch's training queries."""
        if self.kept is None:
            return
        # Labels may be queries too; only training queries are clustered.
        at = np.searchsorted(self.queries, batch.queries).clip(max=len(self.queries) - 1)
        own = np.flatnonzero(self.queries[at] == batch.queries)
        rows = to_device(own, embeddings.device)
        self.kept.keep(at[own], embeddings[rows], batch.batch_index)

    def metrics(self, batch_index: int, step: int) -> dict[str, Any]:
        """How many neighbours share a batch; of kept vectors their age, and how many were encoded last."""
        found: dict[str, Any] = {"size": self.sampler.cluster_size}
        if self.kept is not None and (age := self.kept.age(batch_index)) is not None:
            found["stale_mean"] = round(age, 2)
        if self.kept is not None and self._encoded is not None:
            found["encoded"] = self._encoded
        return found

    def tensors(self) -> dict[str, Tensor]:
        """The kept vectors on the main rank; see :class:`.kept_vectors.KeptVectors`."""
        return {} if self.kept is None else self.kept.tensors()

    def load(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Go on with the vectors of a checkpoint."""
        if self.kept is not None:
            self.kept.load(tensors)

    def close(self) -> None:
        """Remove the file of kept vectors."""
        if self.kept is not None:
            self.kept.close()
