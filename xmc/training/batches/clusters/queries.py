"""Clusters the training queries by the encoder as it is, for batches of neighbours."""

from __future__ import annotations

import numpy as np
import torch

from xmc.distributed import World, all_reduce_sum, gather_rows_to_main
from xmc.training.batches import balanced_order
from xmc.training.batches.clusters.sampler import ClusteredSampler
from xmc.training.learned.frozen_encoder import FrozenEncoder

__all__ = ["cluster_queries"]


def cluster_queries(
    sampler: ClusteredSampler, rows: np.ndarray, encoder: FrozenEncoder, world: World, device: torch.device
) -> None:
    """Give ``sampler`` a new order of its rows [N], clustered by their current embeddings.

    Ranks share the encoding; the main one clusters, in memory of N x D half-precision numbers. Over W ranks:
    one gather of the embeddings to rank 0, and one all-reduce of N numbers.
    """
    start, stop = world.shard(len(rows))
    local = encoder.encode_queries(rows[start:stop]).half()
    gathered = gather_rows_to_main(local, len(rows), world)
    order = torch.zeros(len(rows), dtype=torch.int64)
    if gathered is not None:
        leaf, seed = sampler.schedule.first, sampler.seed + sampler.next_epoch
        order = torch.from_numpy(balanced_order(gathered.cpu().numpy(), leaf, seed))
    sampler.set_order(all_reduce_sum(order.to(device), world).cpu().numpy())
