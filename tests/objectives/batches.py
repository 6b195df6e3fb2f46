"""Random batches for objectives, in float64, and their losses by the loops of the oracles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from tests.objectives.oracles import Case, Row

__all__ = ["Batch", "make_batch", "oracle_rows"]


@dataclass(frozen=True)
class Batch:
    """Queries [B, D], labels [L, D], positives with relevance, a scale, offsets [L] and log weights [L]."""

    queries: Tensor
    labels: Tensor
    positives: sp.csr_matrix
    scale: Tensor
    offsets: Tensor | None
    log_weights: Tensor | None

    def to(self, dtype: torch.dtype) -> Batch:
        vectors = [None if v is None else v.to(dtype) for v in (self.offsets, self.log_weights)]
        return Batch(
            self.queries.to(dtype), self.labels.to(dtype), self.positives, self.scale.to(dtype), *vectors
        )


def make_batch(
    num_rows: int,
    num_labels: int,
    dimension: int = 3,
    *,
    seed: int = 0,
    sampled: bool = True,
    weighted: bool = True,
) -> Batch:
    """A batch; one row has no positives, one nothing but positives, and two labels are equal."""
    random = np.random.default_rng(seed)
    chosen = random.random((num_rows, num_labels)) < 0.3
    chosen[0], chosen[-1] = True, False
    if num_rows == 1:
        chosen[0, : num_labels // 2 + 1] = True
    relevance = chosen * (random.uniform(0.5, 2.0, chosen.shape) if weighted else 1.0)
    generator = torch.Generator().manual_seed(seed)
    queries, labels = (
        torch.randn(n, dimension, generator=generator, dtype=torch.float64) for n in (num_rows, num_labels)
    )
    labels[-1] = labels[0]
    offsets = torch.randn(num_labels, generator=generator, dtype=torch.float64)
    log_weights = torch.rand(num_labels, generator=generator, dtype=torch.float64) * 2
    return Batch(
        queries,
        labels,
        sp.csr_matrix(relevance),
        torch.tensor(0.8, dtype=torch.float64),
        offsets if sampled else None,
        log_weights if sampled else None,
    )


def oracle_rows(case: Case, batch: Batch) -> Tensor:
    """Row losses [B] by the oracle's loops."""
    offsets = torch.zeros(len(batch.labels)) if batch.offsets is None else batch.offsets
    factors = [1.0] * len(batch.labels) if batch.log_weights is None else batch.log_weights.exp().tolist()
    scores = (batch.scale * batch.queries @ batch.labels.T + offsets).tolist()
    share = batch.positives.nnz / (len(scores) * sum(factors))
    share = min(max(share, 0.5 / (len(scores) * sum(factors))), 1 - 0.5 / (len(scores) * sum(factors)))
    losses = []
    for i, row in enumerate(scores):
        found = batch.positives[i].tocoo()
        relevance = dict(zip(found.col.tolist(), np.float32(found.data).tolist(), strict=True))
        bias = math.log(share) - math.log1p(-share)
        losses.append(case.row_loss(Row(row, sorted(relevance), relevance, factors, bias)))
    return torch.tensor(losses, dtype=torch.float64)
