"""Clusters of labels whose texts an untrained encoder puts close together; they share a residual."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from xmc.distributed import World, all_reduce_sum
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError
from xmc.random_streams import Stream, generator
from xmc.retrieval.faiss_module import import_faiss

__all__ = ["cluster_labels"]

ITERATIONS = 20


def cluster_labels(
    encoder: DualEncoder, texts: Sequence[str], num_clusters: int | None, seed: int, world: World
) -> np.ndarray | None:
    """The cluster of every label, int64 [L]: FAISS k-means of the encoded texts, the same on every rank.

    The main rank clusters. Over W ranks: one all-reduce of L numbers.

    Returns:
        [L] cluster ids in [0, num_clusters), or None when ``num_clusters`` is None.

    Raises:
        ConfigError: When there are more clusters than labels.
        DependencyError: When FAISS is not installed.
    """
    if num_clusters is None:
        return None
    if num_clusters > len(texts):
        raise ConfigError(
            f"residuals.clusters: expected at most the {len(texts)} labels, got {num_clusters}; leave it out "
            "for one residual per label"
        )
    clusters = torch.zeros(len(texts), dtype=torch.int64)
    if world.is_main:
        faiss = import_faiss()
        embeddings = encoder.encode_labels(texts)
        # On one rank, and summed with zeros to the others: k-means may round otherwise on another machine.
        draw = generator(seed, Stream.LABEL_CLUSTERS)
        means = faiss.Kmeans(
            embeddings.shape[1], num_clusters, niter=ITERATIONS, seed=int(draw.integers(1 << 30)),
            min_points_per_centroid=1,
        )  # fmt: skip
        means.train(embeddings)
        clusters = torch.from_numpy(means.assign(embeddings)[1].astype(np.int64))
    device = next(iter(encoder.parameters())).device
    return all_reduce_sum(clusters.to(device), world).cpu().numpy()
