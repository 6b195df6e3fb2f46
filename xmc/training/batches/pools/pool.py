"""The pool of labels a step scores, drawn alike on every rank from the seed and the batch's index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from xmc.training.batches.batch import Pool
from xmc.training.batches.config import NegativesConfig
from xmc.training.batches.pools.sampled import LabelDraw, LabelRows, SampledLabels

__all__ = ["AllLabels", "PoolSampler", "build_pool_sampler"]


class PoolSampler(Protocol):
    """Says which labels a step scores."""

    def pool(
        self,
        positives: sp.csr_matrix,
        batch_index: int,
        rows: np.ndarray | None = None,
        masked: sp.csr_matrix | None = None,
    ) -> Pool:
        """The pool of batch ``batch_index``, whose relevance is ``positives`` [B, L].

        ``rows`` [B] are the batch's training query ids, for samplers that know them apart; ``masked`` bool
        [B, L] the pairs that are neither positive nor negative, or None.
        """
        ...

    def set_batches(self, *, mined: sp.csr_matrix | None = None, units: np.ndarray | None = None) -> None:
        """Say what rows bring besides their positives, and in which units batches are drawn.

        Args:
            mined: bool [N, L], labels drawn for each row, none of them its positive.
            units: [N], the cluster of each row, -1 for rows in no batch; None for batches of random rows.
        """
        ...

    def expected_size(self) -> int:
        """About how many labels a pool holds, for cost estimates."""
        ...


class AllLabels:
    """Every label, every step: exact partition functions."""

    def __init__(self, num_labels: int) -> None:
        self.label_ids = np.arange(num_labels)

    def pool(
        self,
        positives: sp.csr_matrix,
        batch_index: int,
        rows: np.ndarray | None = None,
        masked: sp.csr_matrix | None = None,
    ) -> Pool:
        """See :class:`PoolSampler`."""
        return Pool(self.label_ids, positives, None, masked=masked)

    def set_batches(self, *, mined: sp.csr_matrix | None = None, units: np.ndarray | None = None) -> None:
        """See :class:`PoolSampler`; every label is certain, whatever rows bring."""

    def expected_size(self) -> int:
        """See :class:`PoolSampler`."""
        return len(self.label_ids)


def build_pool_sampler(
    config: NegativesConfig,
    relevance: sp.csr_matrix,
    batch_size: int,
    seed: int,
    rows: np.ndarray | None = None,
    draws: Sequence[LabelDraw] = (),
    brought_masked: sp.csr_matrix | None = None,
    label_rows: LabelRows | None = None,
) -> PoolSampler:
    """The sampler that ``config`` asks for; ``relevance`` [N, L] are the rows that batches are drawn from.

    ``rows`` [N] are their row ids, ascending; ``range(N)`` when None. ``draws`` join the configured ones.
    ``brought_masked`` and ``label_rows`` as for :class:`SampledLabels`.
    """
    if config.mode == "all":
        return AllLabels(relevance.shape[1])
    return SampledLabels(
        relevance,
        batch_size,
        uniform=config.uniform,
        strata=config.strata,
        tempered=config.tempered.count,
        alpha=config.tempered.alpha,
        corrected=config.corrected,
        seed=seed,
        rows=rows,
        draws=draws,
        brought_masked=brought_masked,
        label_rows=label_rows,
        positives=config.positives,
    )
