"""An order of queries in which runs of neighbours are clusters, whatever the length of a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from xmc.random_streams import Stream, generator
from xmc.retrieval.faiss_module import import_faiss

__all__ = ["balanced_order"]

SAMPLE = 2048
ITERATIONS = 10
ROWS_AT_ONCE = 65_536


def balanced_order(embeddings: np.ndarray, leaf: int, seed: int, epoch: int = 0) -> np.ndarray:
    """Order N embeddings so that consecutive ones are near each other, by balanced 2-means.

    Each part is split by k-means with two means (FAISS, on at most 2,048 of its points) and cut in equal
    halves along the line through them, down to parts of ``leaf``. Clusters of any power of two times ``leaf``
    are runs of the order, so that a schedule of cluster sizes needs no new clustering. Batches of balanced
    2-means clusters are those of NGAME (Dahiya et al., WSDM 2023).

    Args:
        embeddings: [N, D], float16 or float32.
        leaf: Size of the smallest clusters.
        seed: Of the samples and of k-means.
        epoch: The one clustered for; another draw for each.

    Returns:
        Positions in ``range(N)``, int64 [N], each once.

    Raises:
        DependencyError: When FAISS is not installed.
    """
    faiss = import_faiss()
    order = np.arange(len(embeddings), dtype=np.int64)
    draw = generator(seed, Stream.CLUSTER_CUTS, epoch)
    parts = [(0, len(order))]
    # Depth first, with a stack: every part is a run of the order, so halves are sorted in place.
    while parts:
        start, stop = parts.pop()
        if stop - start <= leaf:
            continue
        rows = order[start:stop]
        # |x - a|^2 - |x - b|^2 = 2 x.(b - a) + constant: sorted along b - a, points go from surely a to
        # surely b. A cut at the middle is the balanced assignment to the two means of least total cost.
        along = _project(embeddings, rows, _direction(faiss, embeddings, rows, draw))
        order[start:stop] = rows[np.argsort(along, kind="stable")]
        # Whole leaves on both sides, as evenly as that goes, so that a run of leaves is one side of a cut.
        middle = start + max(1, round((stop - start) / (2 * leaf))) * leaf
        parts += [(start, middle), (middle, stop)]
    return order


def _direction(faiss: Any, embeddings: np.ndarray, rows: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """From one of two means of the rows to the other: [D]."""
    sample = rows if len(rows) <= SAMPLE else draw.choice(rows, SAMPLE, replace=False)
    points = np.ascontiguousarray(embeddings[np.sort(sample)], dtype=np.float32)
    seed = int(draw.integers(1 << 30))
    kmeans = faiss.Kmeans(
        points.shape[1], 2, niter=ITERATIONS, seed=seed, min_points_per_centroid=1,
        max_points_per_centroid=SAMPLE,
    )  # fmt: skip
    kmeans.train(points)
    return np.asarray(kmeans.centroids[1] - kmeans.centroids[0])


def _project(embeddings: np.ndarray, rows: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """The rows' places along a direction, float32, a bounded number of rows at a time."""
    parts = np.array_split(rows, max(1, -(-len(rows) // ROWS_AT_ONCE)))
    return np.concatenate([embeddings[part].astype(np.float32) @ direction for part in parts])
