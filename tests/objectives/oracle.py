"""Decoupled softmax pair by pair, in float64 and plain Python loops; and batches to try it on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from xmc.objectives import decoupled_softmax

__all__ = ["LEAVES", "Batch", "Gradients", "loss_and_gradients", "naive_decoupled_softmax", "random_batch"]

Gradients = dict[str, Tensor]
LEAVES = ("queries", "labels", "scale", "offsets")


@dataclass
class Batch:
    """Arguments of the objective: relevance is a dense float64 [B, L] array of weights, 0 for negatives."""

    queries: Tensor
    labels: Tensor
    relevance: np.ndarray
    scale: Tensor
    offsets: Tensor | None = None
    log_weights: Tensor | None = None

    def to(self, dtype: torch.dtype) -> Batch:
        """The same batch with its tensors in another type."""
        tensors = {name: getattr(self, name) for name in (*LEAVES, "log_weights")}
        return replace(self, **{name: None if t is None else t.to(dtype) for name, t in tensors.items()})

    def leaves(self, names: tuple[str, ...] = LEAVES) -> Batch:
        """The same batch with fresh tensors, of which ``names`` ask for gradients."""
        fresh = {name: getattr(self, name) for name in LEAVES}
        fresh = {name: None if t is None else t.detach().clone() for name, t in fresh.items()}
        for name in names:
            if fresh[name] is not None:
                fresh[name].requires_grad_()
        return replace(self, **fresh)

    def gradients(self) -> Gradients:
        """The gradients of the leaves that have one."""
        found = {name: getattr(self, name) for name in LEAVES}
        return {name: t.grad for name, t in found.items() if t is not None and t.grad is not None}

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the objective."""
        return {"scale": self.scale, "offsets": self.offsets, "log_weights": self.log_weights}


def naive_decoupled_softmax(batch: Batch) -> Tensor:
    """Row losses [B] in float64: minus the log of each positive's share among itself and the negatives."""
    batch = batch.to(torch.float64)
    num_rows, num_labels = batch.relevance.shape
    rows = []
    for i in range(num_rows):
        scores = [batch.scale * (batch.queries[i] @ batch.labels[j]) for j in range(num_labels)]
        if batch.offsets is not None:
            scores = [score + offset for score, offset in zip(scores, batch.offsets, strict=True)]
        positives = [j for j in range(num_labels) if batch.relevance[i, j] > 0]
        negatives = [j for j in range(num_labels) if batch.relevance[i, j] == 0]
        corrections = torch.zeros(num_labels) if batch.log_weights is None else batch.log_weights
        weighed = [scores[j] + corrections[j] for j in negatives]
        loss, total = batch.queries.new_zeros(()), 0.0
        for c in positives:
            weight = float(batch.relevance[i, c])
            loss = loss + weight * (torch.logsumexp(torch.stack([scores[c], *weighed]), 0) - scores[c])
            total += weight
        rows.append(loss / total if positives else loss + 0 * batch.queries[i].sum())
    return torch.stack(rows) if rows else batch.queries.new_zeros(0)


def loss_and_gradients(
    batch: Batch, names: tuple[str, ...] = LEAVES, **options: Any
) -> tuple[Tensor, Gradients]:
    """The objective's mean loss and its gradients by ``names``, or the oracle's for ``naive=True``."""
    batch = batch.leaves(names)
    if options.pop("naive", False):
        loss = naive_decoupled_softmax(batch).sum() / max(1, len(batch.queries))
    else:
        relevance = sp.csr_matrix(batch.relevance)
        loss = decoupled_softmax(batch.queries, batch.labels, relevance, **batch.options, **options)
    if loss.requires_grad:
        loss.backward()
    return loss.detach(), batch.gradients()


def random_batch(
    num_rows: int = 6,
    num_labels: int = 11,
    dimension: int = 4,
    *,
    seed: int = 0,
    scale: float = 3.0,
    weighted: bool = False,
    offsets: bool = True,
    log_weights: bool = True,
) -> Batch:
    """A float64 batch of about 2 positives per row; row 1 has none, row 2 has every label."""
    generator = np.random.default_rng(seed)
    relevance = (generator.random((num_rows, num_labels)) < min(0.5, 2 / max(1, num_labels))).astype(
        np.float64
    )
    relevance[1:2] = 0
    if num_rows > 2:
        relevance[2] = 1
    if weighted:
        relevance *= np.float32(generator.uniform(0.2, 3.0, relevance.shape))

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(generator.normal(size=shape))

    return Batch(
        normal(num_rows, dimension) / dimension**0.5,
        normal(num_labels, dimension),
        relevance,
        torch.tensor(scale, dtype=torch.float64),
        normal(num_labels) if offsets else None,
        normal(num_labels).abs() if log_weights else None,
    )
