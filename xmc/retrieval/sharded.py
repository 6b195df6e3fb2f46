"""Exact search over ranks: each holds a shard of the labels and ends with the lists of its own queries."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmc.distributed import World, all_gather_rows, exchange_rows
from xmc.errors import ConfigError
from xmc.retrieval.exact import exact_search
from xmc.retrieval.folding import Fold, folded_search
from xmc.retrieval.top_k import merge_top_k

__all__ = ["sharded_search"]


@torch.no_grad()
def sharded_search(
    queries: NDArray[np.float32],
    labels: NDArray[Any] | Tensor,
    k: int,
    *,
    num_queries: int,
    num_labels: int,
    world: World,
    exclude: sp.csr_matrix | None = None,
    offsets: NDArray[Any] | None = None,
    memory_bytes: int | None = None,
    fold: Fold | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The k best of all labels for this rank's queries, equal to `exact_search` in one process.

    The queries of all ranks are gathered on every rank, searched among its own labels, and the lists of each
    query are sent to its rank, which merges them: score descending, then label id ascending. All ranks call
    it together.

    Args:
        queries: [n, D], this rank's shard of the queries (`World.shard` of ``num_queries``).
        labels: [l, D], this rank's shard of the labels; the search runs on their device.
        k: Labels to keep.
        num_queries: N over all ranks. Callers with many queries come with a part of them at a time: a rank
            holds N x D embeddings and lists of N x k.
        num_labels: L over all ranks.
        world: The ranks.
        exclude: [N, L], the same on every rank: true where a pair must not be returned.
        offsets: [L], the same on every rank, added to the scores.
        memory_bytes: As in `exact_search`.
        fold: Which of ``labels`` are vectors of one label, for this rank's labels; None for one each.

    Returns:
        Label ids int32 [n, k] and scores float32 [n, k] as `exact_search` gives them.

    Raises:
        ConfigError: When a shard has another size than its rank's, or as `exact_search`.
        ModelError: As `exact_search`.
    """
    low, high = world.shard(num_labels)
    own = len(labels) if fold is None else len(fold)
    if own != high - low:
        raise ConfigError(
            f"expected the labels {low}:{high} of {num_labels} on rank {world.rank}, got {own} labels"
        )
    device = labels.device if isinstance(labels, Tensor) else torch.device("cpu")
    gathered = all_gather_rows(torch.as_tensor(queries, device=device), num_queries, world)
    mask = exclude if exclude is None or world.size == 1 else sp.csr_matrix(exclude[:, low:high])
    bias = None if offsets is None else offsets[low:high]
    if fold is None:
        ids, scores = exact_search(gathered, labels, k, exclude=mask, offsets=bias, memory_bytes=memory_bytes)
    else:
        ids, scores = folded_search(gathered, labels, k, fold, exclude=mask, offsets=bias)
    if world.size == 1:
        return ids, scores
    # A rank found the k best of its shard under the rule of one process, ids ascending among equal scores. A
    # label of the k best of all is among the k best of its shard, also at a tie: what comes before it there
    # comes before it everywhere. So merging the lists by the same rule gives the list of one process.
    ids[ids >= 0] += low
    own_ids = exchange_rows(torch.from_numpy(ids).to(device), world)
    own_scores = exchange_rows(torch.from_numpy(scores).to(device), world)
    return _merged(own_ids, own_scores, k)


def _merged(ids: Tensor, scores: Tensor, k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Merge the lists [W, n, k] of W ranks for n queries."""
    best, merged = merge_top_k(
        scores.transpose(0, 1).flatten(1), ids.transpose(0, 1).flatten(1).to(torch.int64), k
    )
    return merged.to(torch.int32).cpu().numpy(), best.cpu().numpy()
