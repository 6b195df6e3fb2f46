"""Plain work of torch's own, in units of which costs are told: it depends on the machine as they do."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["plain_bag", "plain_product"]

PRODUCT_LABELS = 16_384  # the plain product writes into one buffer of this many labels


def plain_product(queries: Tensor, labels: Tensor) -> None:
    """The scores of queries [B, D] and labels [L, D], which are thrown away."""
    width = min(PRODUCT_LABELS, len(labels))
    out = queries.new_empty(len(queries), width)
    for start in range(0, len(labels), width):
        part = labels[start : start + width]
        torch.mm(queries, part.T, out=out[:, : len(part)] if len(part) < width else out)


def plain_bag(table: Tensor, ids: Tensor, offsets: Tensor) -> None:
    """The mean vectors [n, D] of texts of flat token ids [t], which start at ``offsets`` [n + 1]."""
    F.embedding_bag(ids, table, offsets, mode="mean", include_last_offset=True)
