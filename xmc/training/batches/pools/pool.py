"""The pool of labels a step scores, drawn alike on every rank from the seed and the batch's index.

Draws that do not look at the batch (:mod:`.draws`) are joined with what its rows bring.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from xmc.errors import ConfigError
from xmc.training.batches.batch import Pool, WeightsApart
from xmc.training.batches.config import NegativesConfig
from xmc.training.batches.pools.batch_labels import BatchLabels
from xmc.training.batches.pools.draws import LabelDraw, LabelRows, TemperedDraw, UniformDraw
from xmc.training.batches.pools.inclusion import union_inclusion

__all__ = [
    "AllLabels",
    "PoolSampler",
    "SampledLabels",
    "build_pool_sampler",
]


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


class SampledLabels:
    """A union of draws, joined by what the batch's rows bring: their positives and their mined labels.

    With the log weights (and the certain pairs) the partition function over the pool estimates the one over
    all labels without bias (Horvitz-Thompson): for every row and each of its negatives the weight is one over
    the probability that the pool of a batch with that row holds that negative. Of the draws that is known;
    what other rows bring is hypergeometric (:class:`.batch_labels.BatchLabels`); what the row brings itself
    is there for certain. A masked pair is left out of the row's partition function, whether or not the pool
    holds its label; the other rows' weights do not change by it.
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
        brought_masked: sp.csr_matrix | None = None,
        label_rows: LabelRows | None = None,
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
            draws: What else brings labels into every pool.
            brought_masked: bool [N, L], the masked pairs of the rows, where rows are to bring those labels as
                they bring their positives: needed where labels outside the pool are scored too, so that none
                of those is masked. None where they come by chance alone.
            label_rows: Labels that are queries of themselves, whose draw joins the others.

        Raises:
            ConfigError: When a draw is impossible; the text names the option.
        """
        self.num_labels, self.batch_size, self.corrected = relevance.shape[1], batch_size, corrected
        self.relevance, self.rows, self.brings_masked = relevance, rows, brought_masked is not None
        # A masked label is none of its row's negatives: as far as chances go it is like a positive.
        self.own = relevance if brought_masked is None else _union(relevance, brought_masked)
        counts = np.bincount(relevance.indices, minlength=self.num_labels)
        self.draws: list[LabelDraw] = [UniformDraw(self.num_labels, uniform, strata=strata, seed=seed)]
        if tempered:
            self.draws.append(TemperedDraw(counts, tempered, alpha, seed=seed))
        self.draws += draws
        self.label_rows = label_rows
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
        # What rows bring changes the chances of every label, so the weights follow.
        self.batch = BatchLabels(self.own, self.batch_size, mined=mined, units=units)
        drawn = union_inclusion(*(draw.inclusion for draw in self.draws))
        joined, others = drawn, self.batch.inclusion_for_others
        if self.label_rows is not None:
            joined = union_inclusion(drawn, self.label_rows.draw.inclusion)
            # A label's own row is no unit, and it has taken one place of the draw of such rows.
            self.label_inclusion = union_inclusion(drawn, self.label_rows.inclusion(), others)
        self.inclusion = union_inclusion(joined, self.batch.inclusion)
        # Above 0 for every label: the uniform draw can hold any of them.
        self.log_weights = -np.log(self.inclusion).astype(np.float32) if self.corrected else None

    def pool(
        self,
        positives: sp.csr_matrix,
        batch_index: int,
        rows: np.ndarray | None = None,
        masked: sp.csr_matrix | None = None,
    ) -> Pool:
        """See :class:`PoolSampler`.

        Raises:
            ConfigError: When rows bring more than their positives, or some are labels, and ``rows`` is None.
        """
        included = np.zeros(self.num_labels, dtype=bool)
        for draw in self.draws:
            draw.add_to(included, batch_index)
        apart = self._labels_among(rows)
        # A row's own positives are in with certainty; as negatives of other rows they count by their chance.
        included[positives.indices] = True
        own = positives if masked is None else _union(positives, masked)
        if self.brings_masked:
            included[own.indices] = True
        shared, certain = self._brought(own, rows)
        for brought in (shared, certain):
            if brought is not None:
                included[brought.indices] = True
        # A union of sources as a mask over labels: each once, ascending, however many sources drew it.
        label_ids = np.flatnonzero(included)
        columns = _columns(positives, label_ids, included)
        left_out = None if masked is None else _columns(masked, label_ids, included)
        if self.log_weights is None:
            return Pool(label_ids, columns, None, masked=left_out)
        weights = self.log_weights[label_ids]
        if shared is not None:
            # One unit is the whole batch, so what it brings is certain for every row: no pairs are needed.
            weights[np.isin(label_ids, shared.indices)] = 0
        # The pairs weigh 1 in their rows alone; the same labels keep their weights for the others.
        pairs = None if certain is None else _columns(certain, label_ids, included)
        if apart is not None:
            apart = WeightsApart(apart.rows, apart.log_weights[label_ids])
        return Pool(label_ids, columns, weights, pairs, left_out, apart)

    def expected_size(self) -> int:
        """See :class:`PoolSampler`."""
        return round(float(self.inclusion.sum()))

    def _brought(
        self, own: sp.csr_matrix, rows: np.ndarray | None
    ) -> tuple[sp.csr_matrix | None, sp.csr_matrix | None]:
        """What is in the pool for certain besides a row's own labels: for every row alike, or row by row."""
        if not self.batch.listed:
            return None, None
        if rows is None:
            raise ConfigError("expected the batch's row ids, as rows bring mined labels or come in clusters")
        positions = self._positions(rows)
        if self.batch.shared_by_all(positions):
            return self.batch.brings[positions], None
        return None, self.batch.certain(positions, own)

    def _labels_among(self, rows: np.ndarray | None) -> WeightsApart | None:
        """Which rows are labels, and the log weights [L] of their negatives; None where there are none."""
        if self.label_rows is None or not self.corrected:
            return None
        if rows is None:
            raise ConfigError("expected the batch's row ids, as some of its rows are labels")
        return WeightsApart(rows >= self.label_rows.first, -np.log(self.label_inclusion).astype(np.float32))

    def _positions(self, rows: np.ndarray) -> np.ndarray:
        """Where each row is among those that batches are drawn from; -1 for others, such as label queries."""
        known = np.arange(self.relevance.shape[0]) if self.rows is None else self.rows
        # searchsorted gives a place also to ids that are not there: those are told by the comparison.
        places = np.minimum(np.searchsorted(known, rows), len(known) - 1)
        return np.where(known[places] == rows, places, -1)


def _union(first: sp.csr_matrix, second: sp.csr_matrix) -> sp.csr_matrix:
    """The pairs of either: CSR bool."""
    return sp.csr_matrix(first.astype(bool) + second.astype(bool))


def _columns(pairs: sp.csr_matrix, label_ids: np.ndarray, included: np.ndarray) -> sp.csr_matrix:
    """``pairs[:, label_ids]`` for ascending ids, without SciPy's cost of a column index per call."""
    kept = included[pairs.indices]
    rows = np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))[kept]
    # Label ids ascend, so an id's place in the pool is found by bisection.
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
    )
