"""The pool of labels a step scores, drawn alike on every rank from the seed and the step's number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from xmc.errors import ConfigError
from xmc.negatives.config import NegativesConfig
from xmc.negatives.inclusion import in_batch_inclusion, union_inclusion

__all__ = ["AllLabels", "Pool", "PoolSampler", "SampledLabels", "build_pool_sampler"]


@dataclass(frozen=True)
class Pool:
    """The labels of a step.

    Attributes:
        label_ids: [n] int64, ascending and distinct.
        positives: CSR [B, n], the batch's relevance over the pool's columns.
        log_weights: [n] float32, minus the log inclusion probability of each label, or None when all are
            certain.
    """

    label_ids: np.ndarray
    positives: sp.csr_matrix
    log_weights: np.ndarray | None


class PoolSampler(Protocol):
    """Says which labels a step scores."""

    def pool(self, positives: sp.csr_matrix, step: int) -> Pool:
        """The pool of global step ``step`` for a batch with relevance ``positives`` [B, L]."""
        ...

    def expected_size(self) -> int:
        """About how many labels a pool holds, for cost estimates."""
        ...


class AllLabels:
    """Every label, every step: exact partition functions."""

    def __init__(self, num_labels: int) -> None:
        self.label_ids = np.arange(num_labels)

    def pool(self, positives: sp.csr_matrix, step: int) -> Pool:
        """See :class:`PoolSampler`."""
        return Pool(self.label_ids, positives, None)

    def expected_size(self) -> int:
        """See :class:`PoolSampler`."""
        return len(self.label_ids)


class SampledLabels:
    """A uniform draw without replacement, joined by the batch's positives, which are scored in any case.

    The log weights are the negative logs of each label's inclusion probability as a negative: drawn
    uniformly, or positive of another query of the batch (:func:`xmc.negatives.in_batch_inclusion`); with them
    the partition function over the pool estimates the one over all labels without bias (Horvitz-Thompson).
    """

    def __init__(
        self,
        relevance: sp.csr_matrix,
        batch_size: int,
        *,
        uniform: int,
        corrected: bool = True,
        seed: int = 0,
    ) -> None:
        """Prepare the sampler.

        Args:
            relevance: [N, L], the rows that batches are drawn from.
            batch_size: Queries a step, over all ranks.
            uniform: Labels drawn uniformly a step; at most L.
            corrected: Whether pools carry log weights.
            seed: With the step's number, decides the draw.

        Raises:
            ConfigError: When ``uniform`` is not in [1, L].
        """
        self.num_labels = relevance.shape[1]
        if not 1 <= uniform <= self.num_labels:
            raise ConfigError(
                f"negatives.uniform: expected between 1 and the {self.num_labels} labels, got {uniform}; "
                "use mode 'all' to score every label"
            )
        self.uniform, self.seed = uniform, seed
        counts = np.bincount(relevance.indices, minlength=self.num_labels)
        batch = in_batch_inclusion(counts, relevance.shape[0], batch_size)
        self.inclusion = union_inclusion(uniform / self.num_labels, batch)
        self.log_weights = -np.log(self.inclusion).astype(np.float32) if corrected else None

    def pool(self, positives: sp.csr_matrix, step: int) -> Pool:
        """See :class:`PoolSampler`."""
        generator = np.random.default_rng((self.seed, step))
        included = np.zeros(self.num_labels, dtype=bool)
        included[generator.choice(self.num_labels, self.uniform, replace=False, shuffle=False)] = True
        included[positives.indices] = True
        label_ids = np.flatnonzero(included)
        weights = None if self.log_weights is None else self.log_weights[label_ids]
        return Pool(label_ids, _columns(positives, label_ids, included), weights)

    def expected_size(self) -> int:
        """See :class:`PoolSampler`."""
        return round(float(self.inclusion.sum()))


def _columns(positives: sp.csr_matrix, label_ids: np.ndarray, included: np.ndarray) -> sp.csr_matrix:
    """``positives[:, label_ids]`` for ascending ids, without SciPy's cost of a column index a call."""
    kept = included[positives.indices]
    rows = np.repeat(np.arange(positives.shape[0]), np.diff(positives.indptr))[kept]
    columns = np.searchsorted(label_ids, positives.indices[kept])
    shape = (positives.shape[0], len(label_ids))
    return sp.csr_matrix((positives.data[kept], (rows, columns)), shape=shape)


def build_pool_sampler(
    config: NegativesConfig, relevance: sp.csr_matrix, batch_size: int, seed: int
) -> PoolSampler:
    """The sampler that ``config`` asks for; ``relevance`` [N, L] are the rows that batches are drawn from."""
    if config.mode == "all":
        return AllLabels(relevance.shape[1])
    return SampledLabels(relevance, batch_size, uniform=config.uniform, corrected=config.corrected, seed=seed)
