"""The boundary that a class mean is nearest to, or furthest beyond, among the labels of a step.

The boundary between labels c and j is where both score alike. Which one counts is looked for without a
gradient, a tile of labels at a time and over all ranks; its distance is then computed once more with one.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from xmc.distributed import all_reduce_max
from xmc.distributed.world import to_device
from xmc.scoring import LabelShard, Positives

__all__ = ["excluded_pairs", "nearest_boundaries", "signed_distances"]

NEAR = 1e-6
"""Labels closer than this share of their squared lengths are one label: there is no boundary between them."""


def signed_distances(means: Tensor, own: Tensor, others: Tensor) -> Tensor:
    """How far each mean lies beyond the boundary between its own label and another, [C].

    ``(z_j(mu) - z_c(mu)) / ||w_c - w_j||``, below 0 on its own side. Scores are ``w.x + b``.

    Args:
        means: mu, [C, D].
        own: ``(w_c, b_c)``, [C, D + 1].
        others: ``(w_j, b_j)``, [C, D + 1]; another vector than the own.
    """
    apart = others - own
    vectors = apart[:, :-1]
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=1)
    return ((vectors * means).sum(1) + apart[:, -1]) / lengths


def excluded_pairs(
    listed_rows: Tensor, listed_labels: Tensor, pairs: Positives, classes: Tensor, num_classes: int
) -> tuple[Tensor, Tensor]:
    """The labels that are no rivals of a class, as they come with it: a list of (label, class), by label.

    A label is none where a query of the class has it too, as a positive or as a masked pair; the class itself
    is among them. Takes a number for each positive of a query and each label listed of it.

    Args:
        listed_rows: [n] int64, the rows of the positives and masked pairs of this rank's labels.
        listed_labels: [n] int64, their labels.
        pairs: The P positives.
        classes: [P] int64, the class of each of them.
        num_classes: C.

    Returns:
        Labels, ascending, and classes, both int64 of one length.
    """
    order = torch.argsort(listed_rows, stable=True)
    counts = torch.bincount(listed_rows, minlength=pairs.num_rows)
    starts = counts.cumsum(0) - counts
    # Each positive of a row with each label that is listed of the row.
    of_pairs = counts[pairs.rows]
    joined = torch.repeat_interleave(of_pairs)
    within = torch.arange(len(joined), device=joined.device) - (of_pairs.cumsum(0) - of_pairs)[joined]
    labels = listed_labels[order[starts[pairs.rows[joined]] + within]]
    keys = torch.unique(labels * num_classes + classes[joined])
    return keys // num_classes, keys % num_classes


@torch.no_grad()
def nearest_boundaries(
    means: Tensor,
    own: Tensor,
    labels: Tensor,
    excluded: tuple[Tensor, Tensor],
    shard: LabelShard,
    memory_bytes: int,
) -> Tensor:
    """For each class the label whose boundary its mean is furthest beyond: [C] int64, -1 where there is none.

    Args:
        means: [C, D], the same on every rank.
        own: [C, D + 1], vectors and offsets of the classes' own labels, the same on every rank.
        labels: [l, D + 1], those of this rank's labels.
        excluded: Pairs of this rank's labels and of classes that do not count; see :func:`excluded_pairs`.
        shard: Which labels these are.
        memory_bytes: What a tile may take.

    Returns:
        Labels over all shards, the first of equals. Over W ranks: two all-reduces of C numbers.
    """
    best = means.new_full((len(means),), -torch.inf)
    found = torch.full((len(means),), -1, dtype=torch.long, device=means.device)
    vectors, lengths = own[:, :-1], own[:, :-1].square().sum(1)
    reached = (vectors * means).sum(1) + own[:, -1]
    # Three matrices of a row for each class: products, distances and what is made on the way.
    tile = max(1, memory_bytes // max(1, 4 * means.element_size() * len(means)))
    starts = range(0, len(labels), tile)
    # Where the excluded pairs of each tile are, in one number each that is read at once for all of them.
    edges = to_device(np.array([*starts, len(labels)], dtype=np.int64), means.device)
    cuts = torch.searchsorted(excluded[0], edges).tolist()
    for start, first, last in zip(starts, cuts, cuts[1:], strict=False):
        part = labels[start : start + tile]
        sizes = part[:, :-1].square().sum(1)
        total = lengths[:, None] + sizes
        apart = total - 2 * vectors @ part[:, :-1].T
        beyond = means @ part[:, :-1].T + part[:, -1] - reached[:, None]
        beyond /= apart.clamp(min=torch.finfo(apart.dtype).tiny).sqrt()
        beyond.masked_fill_(apart <= NEAR * total, -torch.inf)
        beyond[excluded[1][first:last], excluded[0][first:last] - start] = -torch.inf
        highest, place = beyond.max(1)
        better = highest > best
        best = torch.where(better, highest, best)
        found = torch.where(better, place + start + shard.start, found)
    if shard.world.size == 1:
        return found
    highest = all_reduce_max(best.clone(), shard.world)
    # The least label among ranks that have the highest value: the maximum of its negative.
    candidate = torch.where((best == highest) & (found >= 0), -found, -shard.total)
    lowest = -all_reduce_max(candidate, shard.world)
    return torch.where(lowest < shard.total, lowest, -1)
