"""The labels that training rows bring to their batch, and how likely a batch brings a label to a row.

A row brings its positives, or a draw of them, and the mined labels drawn for it. The latter are drawn for all
rows before batches are: given them, only which rows share a batch, and which positives they keep, is random,
so that inclusion is counted, not estimated.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial

import numpy as np
import scipy.sparse as sp

from xmc.errors import ConfigError
from xmc.training.batches.pools.inclusion import in_batch_inclusion, thinned_in_batch_inclusion

__all__ = ["BatchLabels", "label_counts", "without"]

_PAIRS_AT_ONCE = 1 << 22


class BatchLabels:
    """What each of N rows brings, and in which units (rows, or clusters of rows) batches are drawn.

    Attributes:
        units: [N] int64, the unit of each row, -1 for rows that sit the epoch out; None when every row is a
            unit of its own.
        inclusion: [L] float64, the probability that a batch brings a label to a row whose own unit does not.
    """

    def __init__(
        self,
        positives: sp.csr_matrix,
        batch_size: int,
        *,
        mined: sp.csr_matrix | None = None,
        units: np.ndarray | None = None,
        chances: np.ndarray | None = None,
    ) -> None:
        """Count.

        Args:
            positives: [N, L], what the rows that batches are drawn from bring that is no negative of theirs:
                their relevance, and masked labels where they bring them.
            batch_size: Rows of a batch, over all ranks.
            mined: bool [N, L], labels drawn for each row, none of them its positive.
            units: See above; every unit has as many rows, which divide ``batch_size``.
            chances: [P], of each pair of ``positives`` to be brought when its row is drawn; None for 1.

        Raises:
            ConfigError: When units are of different sizes, do not divide a batch, or come with chances: what
                neighbours bring by chance has no weight in a row.
        """
        own = sp.csr_matrix(
            (np.ones(positives.nnz, dtype=bool), positives.indices, positives.indptr), shape=positives.shape
        )
        # Apart, and read by rows: what is mined may be a file of more than there is memory for.
        self._parts = [own] if mined is None else [own, mined]
        self.listed = mined is not None or units is not None
        self.units = units
        # Every row is a unit, unless rows come in clusters.
        self._sizes = positives.shape[0], batch_size
        self._inclusion: Callable[[int, int], np.ndarray]
        if chances is not None:
            if units is not None:
                raise ConfigError(
                    "expected rows that bring each positive for certain in clusters, got chances"
                )
            self._inclusion = _by_chance(positives, chances, mined)
        elif units is None:
            # A label is brought by as many units as rows list it.
            counts = np.sum([label_counts(part) for part in self._parts], axis=0)
            self._inclusion = partial(in_batch_inclusion, counts)
        else:
            sizes = np.bincount(units[units >= 0])
            # Units of one size make a batch a fixed number of units drawn without replacement, which is what
            # the hypergeometric formula is of.
            if not len(sizes) or (sizes != sizes[0]).any() or batch_size % sizes[0]:
                raise ConfigError(
                    f"expected clusters of one size that divides the batch of {batch_size}, got sizes "
                    f"{sorted(set(sizes.tolist()))}"
                )
            self._inclusion = partial(in_batch_inclusion, _units_per_label(self.brought_by(), units))
            self._sizes = len(sizes), batch_size // int(sizes[0])
        self.inclusion = self._inclusion(*self._sizes)

    def brought_by(self, positions: np.ndarray | None = None) -> sp.csr_matrix:
        """What rows bring, as positions [n] in ``range(N)`` or all of them: CSR bool [n, L]."""
        parts = self._parts if positions is None else [part[positions] for part in self._parts]
        brought = parts[0]
        for part in parts[1:]:
            brought = sp.csr_matrix(brought + part.astype(bool))
        return brought

    @cached_property
    def inclusion_for_others(self) -> np.ndarray:
        """[L] float64, the same to a row that joins the batch without being drawn for it."""
        # To a row that is no unit all units of a batch are others: as if it were one more, always drawn.
        num_units, units_per_batch = self._sizes
        return self._inclusion(num_units + 1, units_per_batch + 1)

    def certain(self, positions: np.ndarray, positives: sp.csr_matrix) -> sp.csr_matrix | None:
        """The labels that are in a batch's pool for certain, row by row, other than positives.

        Args:
            positions: [B], the batch's rows, as positions in ``range(N)``; -1 for rows that bring nothing but
                positives and are their own units.
            positives: [B, L], what is no negative of theirs: their relevance, and their masked pairs.

        Returns:
            CSR bool [B, L], what each row's unit brings without those; None where rows bring nothing but
            positives and are their own units.
        """
        if not self.listed:
            return None
        known = np.flatnonzero(positions >= 0)
        brought = self.brought_by(positions[known])
        if self.units is not None:
            # members [units, rows] @ brought [rows, L] adds up what a unit's rows bring; each row then takes
            # its unit's row of that.
            _, unit = np.unique(self.units[positions[known]], return_inverse=True)
            members = sp.csr_matrix((np.ones(len(known), dtype=np.int32), (unit, np.arange(len(known)))))
            brought = sp.csr_matrix(members @ brought.astype(np.int32))[unit]
        if len(known) < len(positions):
            # Rows that are not known bring nothing: an empty row in their place.
            spread = (np.ones(len(known), dtype=bool), (known, np.arange(len(known))))
            brought = sp.csr_matrix(spread, shape=(len(positions), len(known))) @ brought.astype(bool)
        return without(sp.csr_matrix(brought), positives)

    def shared_by_all(self, positions: np.ndarray) -> bool:
        """Whether all the batch's rows are of one unit, so that what one brings is certain for all."""
        if self.units is None or (positions < 0).any():
            return False
        return len(np.unique(self.units[positions])) == 1


def _by_chance(
    positives: sp.csr_matrix, chances: np.ndarray, mined: sp.csr_matrix | None
) -> Callable[[int, int], np.ndarray]:
    """The inclusion [L] by the number of rows and of those of a batch."""
    labels = positives.indices
    if mined is not None:
        labels, chances = np.append(labels, mined.indices), np.append(chances, np.ones(mined.nnz))
    # Few chances are distinct (one for each number of positives), and labels are missed by their product.
    values, kinds = np.unique(chances, return_inverse=True)
    shape = positives.shape[1], len(values)
    return partial(
        thinned_in_batch_inclusion, sp.csr_matrix((np.ones(len(kinds)), (labels, kinds)), shape=shape), values
    )


def label_counts(pairs: sp.csr_matrix) -> np.ndarray:
    """How many rows have each label: int64 [L], from some million pairs at a time."""
    counts = np.zeros(pairs.shape[1], dtype=np.int64)
    for start in range(0, pairs.nnz, _PAIRS_AT_ONCE):
        part = pairs.indices[start : start + _PAIRS_AT_ONCE]
        counts += np.bincount(part, minlength=len(counts))
    return counts


def _units_per_label(brings: sp.csr_matrix, units: np.ndarray) -> np.ndarray:
    """How many units bring each label: [L]."""
    row_units = np.repeat(units, np.diff(brings.indptr))
    kept = row_units >= 0
    num_labels = brings.shape[1]
    # A unit brings a label once, however many of its rows list it.
    pairs = np.unique(row_units[kept] * num_labels + brings.indices[kept])
    return np.bincount(pairs % num_labels, minlength=num_labels)


def without(matrix: sp.csr_matrix, removed: sp.csr_matrix) -> sp.csr_matrix:
    """``matrix``'s pairs that are not among ``removed``'s: CSR bool."""
    num_labels = matrix.shape[1]

    def keys(part: sp.csr_matrix) -> np.ndarray:
        rows = np.repeat(np.arange(part.shape[0], dtype=np.int64), np.diff(part.indptr))
        return rows * num_labels + part.indices

    kept = keys(matrix)
    kept = kept[~np.isin(kept, keys(removed))]
    shape = matrix.shape
    return sp.csr_matrix(
        (np.ones(len(kept), dtype=bool), (kept // num_labels, kept % num_labels)), shape=shape
    )
