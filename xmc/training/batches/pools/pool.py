"""The pool of labels a step scores, drawn alike on every rank from the seed and the batch's index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from xmc.errors import ConfigError
from xmc.training.batches.batch import Pool
from xmc.training.batches.config import NegativesConfig
from xmc.training.batches.pools.batch_labels import BatchLabels
from xmc.training.batches.pools.draws import LabelDraw, TemperedDraw, UniformDraw
from xmc.training.batches.pools.inclusion import union_inclusion

__all__ = ["AllLabels", "PoolSampler", "SampledLabels", "build_pool_sampler"]


class PoolSampler(Protocol):
    """Says which labels a step scores."""

    def pool(self, positives: sp.csr_matrix, batch_index: int, rows: np.ndarray | None = None) -> Pool:
        """The pool of batch ``batch_index``, whose relevance is ``positives`` [B, L].

        ``rows`` [B] are the batch's training query ids, for samplers that know them apart.
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

    def pool(self, positives: sp.csr_matrix, batch_index: int, rows: np.ndarray | None = None) -> Pool:
        """See :class:`PoolSampler`."""
        return Pool(self.label_ids, positives, None)

    def set_batches(self, *, mined: sp.csr_matrix | None = None, units: np.ndarray | None = None) -> None:
        """See :class:`PoolSampler`; every label is certain, whatever rows bring."""

    def expected_size(self) -> int:
        """See :class:`PoolSampler`."""
        return len(self.label_ids)


class SampledLabels:
    """A union of draws, joined by what the batch's rows bring: their positives and their mined labels.

    With the log weights (and the certain pairs) the partition function over the pool estimates the one over
    all labels without bias (Horvitz-Thompson): for every row and each of its negatives the weight is one over
    the probability that the pool of a batch with that row holds that negative. Of the draws that is known;
    what other rows bring is hypergeometric (:class:`.batch_labels.BatchLabels`); what the row
    brings itself is there for certain.
    """

    def __init__(
        self,
        relevance: sp.csr_matrix,
        batch_size: int,
        *,
        uniform: int,
        strata: int = 1,
        tempered: int = 0,
        alpha: float = 0.5,
        corrected: bool = True,
        seed: int = 0,
        rows: np.ndarray | None = None,
        draws: Sequence[LabelDraw] = (),
    ) -> None:
        """Prepare the sampler.

        Args:
            relevance: [N, L], the rows that batches are drawn from.
            batch_size: Queries of a batch, over all ranks.
            uniform: Labels drawn uniformly for each batch; at most L.
            strata: Label shards that the uniform draw takes equal shares of.
            tempered: Labels drawn by tempered frequency for each batch, on average.
            alpha: Power of the frequency.
            corrected: Whether pools carry log weights.
            seed: With the batch's index, decides the draws.
            rows: [N], the row ids of ``relevance``'s rows, ascending; ``range(N)`` when None.
            draws: What else brings labels into every pool, such as labels that are queries of themselves.

        Raises:
            ConfigError: When a draw is impossible; the text names the option.
        """
        self.num_labels, self.batch_size, self.corrected = relevance.shape[1], batch_size, corrected
        self.relevance, self.rows = relevance, rows
        counts = np.bincount(relevance.indices, minlength=self.num_labels)
        self.draws: list[LabelDraw] = [UniformDraw(self.num_labels, uniform, strata=strata, seed=seed)]
        if tempered:
            self.draws.append(TemperedDraw(counts, tempered, alpha, seed=seed))
        self.draws += draws
        self.set_batches()

    def set_batches(self, *, mined: sp.csr_matrix | None = None, units: np.ndarray | None = None) -> None:
        """See :class:`PoolSampler`.

        Raises:
            ConfigError: When ``mined`` has not a row for each of the sampler's.
        """
        if mined is not None and mined.shape != self.relevance.shape:
            raise ConfigError(
                "expected the labels that queries bring as one row for each query trained on, "
                f"{list(self.relevance.shape)}, got {list(mined.shape)}"
            )
        self.batch = BatchLabels(self.relevance, self.batch_size, mined=mined, units=units)
        self.inclusion = union_inclusion(*(draw.inclusion for draw in self.draws), self.batch.inclusion)
        self.log_weights = -np.log(self.inclusion).astype(np.float32) if self.corrected else None

    def pool(self, positives: sp.csr_matrix, batch_index: int, rows: np.ndarray | None = None) -> Pool:
        """See :class:`PoolSampler`.

        Raises:
            ConfigError: When rows bring more than their positives and ``rows`` is None.
        """
        included = np.zeros(self.num_labels, dtype=bool)
        for draw in self.draws:
            draw.add_to(included, batch_index)
        included[positives.indices] = True
        shared, certain = self._brought(positives, rows)
        for brought in (shared, certain):
            if brought is not None:
                included[brought.indices] = True
        label_ids = np.flatnonzero(included)
        columns = _columns(positives, label_ids, included)
        if self.log_weights is None:
            return Pool(label_ids, columns, None)
        weights = self.log_weights[label_ids]
        if shared is not None:
            weights[np.isin(label_ids, shared.indices)] = 0
        pairs = None if certain is None else _columns(certain, label_ids, included)
        return Pool(label_ids, columns, weights, pairs)

    def expected_size(self) -> int:
        """See :class:`PoolSampler`."""
        return round(float(self.inclusion.sum()))

    def _brought(
        self, positives: sp.csr_matrix, rows: np.ndarray | None
    ) -> tuple[sp.csr_matrix | None, sp.csr_matrix | None]:
        """What is in the pool for certain besides a row's positives: for every row alike, or row by row."""
        if not self.batch.listed:
            return None, None
        if rows is None:
            raise ConfigError("expected the batch's row ids, as rows bring mined labels or come in clusters")
        positions = self._positions(rows)
        if self.batch.shared_by_all(positions):
            return self.batch.brings[positions], None
        return None, self.batch.certain(positions, positives)

    def _positions(self, rows: np.ndarray) -> np.ndarray:
        """Where each row is among those that batches are drawn from; -1 for others, such as label queries."""
        known = np.arange(self.relevance.shape[0]) if self.rows is None else self.rows
        places = np.minimum(np.searchsorted(known, rows), len(known) - 1)
        return np.where(known[places] == rows, places, -1)


def _columns(pairs: sp.csr_matrix, label_ids: np.ndarray, included: np.ndarray) -> sp.csr_matrix:
    """``pairs[:, label_ids]`` for ascending ids, without SciPy's cost of a column index a call."""
    kept = included[pairs.indices]
    rows = np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))[kept]
    columns = np.searchsorted(label_ids, pairs.indices[kept])
    shape = (pairs.shape[0], len(label_ids))
    return sp.csr_matrix((pairs.data[kept], (rows, columns)), shape=shape)


def build_pool_sampler(
    config: NegativesConfig,
    relevance: sp.csr_matrix,
    batch_size: int,
    seed: int,
    rows: np.ndarray | None = None,
    draws: Sequence[LabelDraw] = (),
) -> PoolSampler:
    """The sampler that ``config`` asks for; ``relevance`` [N, L] are the rows that batches are drawn from.

    ``rows`` [N] are their row ids, ascending; ``range(N)`` when None. ``draws`` join the configured ones.
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
    )
