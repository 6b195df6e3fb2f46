"""Pools that are a sample of the labels: draws that do not look at the batch, joined by what rows bring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from xmc.distributed import shard_bounds
from xmc.errors import ConfigError
from xmc.random_streams import Stream, generator
from xmc.training.batches.batch import Pool, WeightsApart
from xmc.training.batches.pools.batch_labels import BatchLabels
from xmc.training.batches.pools.inclusion import (
    in_batch_inclusion,
    stratified_inclusion,
    tempered_inclusion,
    union_inclusion,
)
from xmc.training.batches.pools.positives import PositiveDraw, positive_inclusion

__all__ = ["LabelDraw", "LabelRows", "SampledLabels", "TemperedDraw", "UniformDraw"]


class LabelDraw(Protocol):
    """A random set of labels, independent of the batch and of other draws.

    What brings labels of its own into every pool needs no more than this; give it to
    :func:`xmc.training.batches.build_batches`. A draw decided by a seed and the batch's index is the same on
    every rank, and needs no state in a checkpoint.
    """

    inclusion: np.ndarray
    """[L] float64, each label's probability to be drawn."""

    def add_to(self, included: np.ndarray, batch_index: int) -> None:
        """Mark the labels drawn for batch ``batch_index`` in ``included`` [L] bool, in place."""
        ...


class UniformDraw:
    """``count`` labels uniformly without replacement, or equal shares of them from equal label shards."""

    def __init__(
        self,
        num_labels: int,
        count: int,
        *,
        strata: int = 1,
        seed: int = 0,
        stream: Stream = Stream.UNIFORM_LABELS,
        option: str = "negatives.uniform",
    ) -> None:
        """Prepare the draw.

        Args:
            num_labels: L.
            count: How many to draw.
            strata: Label shards that are drawn from apart.
            seed: With the batch's index, decides the draw.
            stream: Decides it too, with the counters of UNIFORM_LABELS. A second uniform draw into the pools
                of one run needs another stream or seed.
            option: What an error names.

        Raises:
            ConfigError: When ``count`` is not in [1, L], or a stratum would have none drawn.
        """
        if not 1 <= count <= num_labels:
            raise ConfigError(
                f"{option}: expected between 1 and the {num_labels} labels, got {count}; "
                "use mode 'all' to score every label"
            )
        self.count, self.strata, self.seed, self.stream = count, strata, seed, stream
        self.inclusion = stratified_inclusion(num_labels, count, strata)

    def add_to(self, included: np.ndarray, batch_index: int) -> None:
        """See :class:`LabelDraw`."""
        for stratum in range(self.strata):
            included[self.stratum(stratum, batch_index)] = True

    def stratum(self, stratum: int, batch_index: int) -> np.ndarray:
        """The labels drawn from one shard, which needs nothing of the others."""
        start, stop = shard_bounds(len(self.inclusion), stratum, self.strata)
        first, last = shard_bounds(self.count, stratum, self.strata)
        draw = generator(self.seed, self.stream, batch_index, stratum)
        return start + draw.choice(stop - start, last - first, replace=False, shuffle=False)


class TemperedDraw:
    """Each label on its own with a chance that goes with its tempered frequency (Poisson sampling).

    The number drawn varies, with a standard deviation of at most the root of its mean; the probabilities are
    exact.
    """

    def __init__(self, label_counts: np.ndarray, expected: int, alpha: float, *, seed: int = 0) -> None:
        """Prepare the draw; see :func:`xmc.training.batches.pools.inclusion.tempered_inclusion`."""
        self.inclusion = tempered_inclusion(label_counts, expected, alpha)
        self.seed = seed

    def add_to(self, included: np.ndarray, batch_index: int) -> None:
        """See :class:`LabelDraw`."""
        # Poisson sampling: a coin for each label, with exactly the chance it should have. At a fixed size
        # unequal chances would have no such simple form. Coins are below 1, so a chance of 1 is certain.
        draw = generator(self.seed, Stream.TEMPERED_LABELS, batch_index)
        included |= draw.random(len(included)) < self.inclusion


@dataclass(frozen=True)
class LabelRows:
    """Labels that join a batch as queries of themselves.

    Attributes:
        first: Their row ids are ``first`` plus the label's; those of training rows are below.
        draw: Which do: in the pool as positives of their own rows.
        counts: [L], how many labels' rows have each label as a positive; None where it is its own alone.
    """

    first: int
    draw: UniformDraw
    counts: np.ndarray | None = None

    def brought(self) -> np.ndarray:
        """[L]: the probability that the label queries of a batch bring a label."""
        if self.counts is None:
            return self.draw.inclusion
        # A row outside the draw makes the count of all rows, and of those of a batch, one larger.
        return in_batch_inclusion(self.counts, len(self.counts) + 1, self.draw.count + 1)

    def brought_by_others(self) -> np.ndarray | float:
        """The probability that a label is brought by the others of a label query that does not bring it.

        Of ``count`` drawn without replacement one is the row's own: the rest are a draw of the other labels.

        Returns:
            [L], or a number where it is the same for all.
        """
        num_labels = len(self.draw.inclusion)
        if self.counts is None:
            return (self.draw.count - 1) / (num_labels - 1) if num_labels > 1 else 0.0
        # A label that every row brings is in no row's negatives: any number will do for it.
        return in_batch_inclusion(np.minimum(self.counts, num_labels - 1), num_labels, self.draw.count)


class SampledLabels:
    """A union of draws, joined by what the batch's rows bring: their positives and their mined labels.

    With the log weights (and the certain pairs) the partition function over the pool estimates the one over
    all labels without bias (Horvitz-Thompson): for every row and each of its negatives the weight is one over
    the probability that the pool of a batch with that row holds that negative. Of the draws that is known;
    what other rows bring is hypergeometric (:class:`.batch_labels.BatchLabels`); what the row brings itself
    is there for certain. A masked pair is left out of the row's partition function, whether or not the pool
    holds its label; the other rows' weights do not change by it. Where a row keeps a draw of its positives,
    the others are masked for it, and it brings its positives to other rows by their chance alone.
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
        positives: int | None = None,
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
            positives: How many positives of each row a pool is to have at most; None for all.

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
        self.kept = None if positives is None else PositiveDraw(positives, seed=seed)
        self.chances = None if positives is None else self._chances(relevance, brought_masked, positives)
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
        self.batch = BatchLabels(self.own, self.batch_size, mined=mined, units=units, chances=self.chances)
        drawn = union_inclusion(*(draw.inclusion for draw in self.draws))
        # Above 0 for every label: the uniform draw can hold any of them.
        self.inclusion = union_inclusion(drawn, self.batch.inclusion)
        self.log_weights = self.joined_log_weights = self._log_weights(self.inclusion)
        if self.label_rows is not None:
            self.inclusion = union_inclusion(self.inclusion, self.label_rows.brought())
            self.joined_log_weights = self._log_weights(self.inclusion)
            # A label's own row is no unit, and it has taken one place of the draw of such rows.
            others = self.label_rows.brought_by_others()
            self.label_inclusion = union_inclusion(drawn, others, self.batch.inclusion_for_others)
            self.label_log_weights = self._log_weights(self.label_inclusion)

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
        labels = self._labels_among(rows)
        # All of a row's positives are no negatives of its own, whether or not they are kept.
        own = positives if masked is None else _union(positives, masked)
        filtered, dropped = masked, None
        if self.kept is not None:
            positives, dropped = self.kept.split(positives, batch_index)
        if dropped is not None:
            masked = dropped if masked is None else _union(masked, dropped)
        # A row's own positives are in with certainty; as negatives of other rows they count by their chance.
        included[positives.indices] = True
        if self.brings_masked and filtered is not None:
            included[filtered.indices] = True
        shared, certain = self._brought(own, rows)
        for brought in (shared, certain):
            if brought is not None:
                included[brought.indices] = True
        # A union of sources as a mask over labels: each once, ascending, however many sources drew it.
        label_ids = np.flatnonzero(included)
        columns = _columns(positives, label_ids, included)
        left_out = None if masked is None else _columns(masked, label_ids, included)
        log_weights = self.log_weights if labels is None else self.joined_log_weights
        if log_weights is None:
            return Pool(label_ids, columns, None, masked=left_out, dropped=dropped)
        weights = log_weights[label_ids]
        if shared is not None:
            # One unit is the whole batch, so what it brings is certain for every row: no pairs are needed.
            weights[np.isin(label_ids, shared.indices)] = 0
        # The pairs weigh 1 in their rows alone; the same labels keep their weights for the others.
        pairs = None if certain is None else _columns(certain, label_ids, included)
        apart = None
        if labels is not None and self.label_log_weights is not None:
            apart = WeightsApart(labels, self.label_log_weights[label_ids])
        return Pool(label_ids, columns, weights, pairs, left_out, apart, dropped)

    def _chances(
        self, relevance: sp.csr_matrix, masked: sp.csr_matrix | None, positives: int
    ) -> np.ndarray | None:
        """The chance of each pair of ``own`` to be brought by its row; None where all are certain."""
        chances = positive_inclusion(relevance, positives)
        if not (chances < 1).any():
            return None
        if masked is None:
            return chances
        # Masked labels are brought for certain, and none of them is a positive.
        by_pair = sp.csr_matrix((chances, relevance.indices, relevance.indptr), shape=relevance.shape)
        self.own = sp.csr_matrix(by_pair + masked.astype(np.float64))
        return np.asarray(self.own.data)

    def expected_size(self) -> int:
        """See :class:`PoolSampler`."""
        return round(float(self.inclusion.sum()))

    def _log_weights(self, inclusion: np.ndarray) -> np.ndarray | None:
        """Minus the logs of chances [L], where pools are corrected for them."""
        return -np.log(inclusion).astype(np.float32) if self.corrected else None

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
            return self.batch.brought_by(positions), None
        return None, self.batch.certain(positions, own)

    def _labels_among(self, rows: np.ndarray | None) -> np.ndarray | None:
        """Which rows are labels, bool [B]; None where none is, as in batches that labels do not join."""
        if self.label_rows is None or not self.corrected:
            return None
        if rows is None:
            raise ConfigError("expected the batch's row ids, as some of its rows are labels")
        found = rows >= self.label_rows.first
        return found if found.any() else None

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
    # How many of the pairs before each place are kept tells where rows begin.
    starts = np.append(0, np.cumsum(kept))[pairs.indptr]
    # Label ids ascend, so an id's place in the pool is found by bisection.
    columns = np.searchsorted(label_ids, pairs.indices[kept])
    shape = (pairs.shape[0], len(label_ids))
    chosen = sp.csr_matrix((pairs.data[kept], columns, starts), shape=shape)
    chosen.sum_duplicates()
    return chosen
