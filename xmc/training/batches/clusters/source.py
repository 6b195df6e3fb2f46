"""Batches of neighbouring queries, clustered anew by the encoder as it is when the schedule says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from xmc.distributed import World, all_reduce_sum, gather_rows_to_main
from xmc.retrieval.faiss_module import import_faiss
from xmc.training.batches.batch import Moment
from xmc.training.batches.clusters.config import ClustersConfig
from xmc.training.batches.clusters.order import balanced_order
from xmc.training.batches.clusters.sampler import ClusteredSampler
from xmc.training.batches.source import BatchSource
from xmc.training.learned.frozen_encoder import FrozenEncoder

__all__ = ["QueryClusters", "cluster_queries"]


def cluster_queries(
    sampler: ClusteredSampler, queries: np.ndarray, encoder: FrozenEncoder, world: World, device: torch.device
) -> None:
    """Give ``sampler`` a new order of its queries [N], clustered by their current embeddings.

    Ranks share the encoding; the main one clusters, in memory of N x D half-precision numbers. Over W ranks:
    one gather of the embeddings to rank 0, and one all-reduce of N numbers.
    """
    start, stop = world.shard(len(queries))
    # Enough to find neighbours by, at half the memory and traffic.
    local = encoder.encode_queries(queries[start:stop]).half()
    gathered = gather_rows_to_main(local, len(queries), world)
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
    ) -> None:
        """Prepare; nothing is clustered yet.

        Args:
            config: Sizes and schedule.
            queries: [N], the training queries to draw from.
            batch_size: B, over all ranks.
            seed: Of the order.
            world: The ranks that share the encoding.
            device: Where collectives work.

        Raises:
            ConfigError: When batches cannot be made of clusters.
            DependencyError: When FAISS is not installed.
        """
        import_faiss()
        self.sampler = ClusteredSampler(queries, batch_size, seed, config)
        self.queries, self.world, self.device = queries, world, device

    def before(self, moment: Moment) -> None:
        """Cluster where an epoch begins that wants it; see :func:`cluster_queries` for the collectives."""
        if self.sampler.clustering_due:
            cluster_queries(self.sampler, self.queries, moment.encoder, self.world, self.device)

    def metrics(self, batch_index: int, step: int) -> dict[str, Any]:
        """How many neighbours share a batch."""
        return {"size": self.sampler.cluster_size}
