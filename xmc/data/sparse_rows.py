"""Rows of a sparse matrix by numpy alone: a search of one text has no time to import scipy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xmc.data.npz import check_npz
from xmc.limits import MAX_IDS
from xmc.received import reading

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["SparseRows"]


class SparseRows(NamedTuple):
    """A matrix [N, M] of which only what is not 0 is kept, row by row, under scipy's names for the parts."""

    data: NDArray[Any]
    """Of the places that are kept."""
    indices: NDArray[np.integer[Any]]
    """The columns of these; in a row each once."""
    indptr: NDArray[np.integer[Any]]
    """[N + 1], where each row begins in the two."""
    shape: tuple[int, int]

    @classmethod
    def of(cls, matrix: sp.csr_matrix | SparseRows) -> SparseRows:
        """Those of a CSR, without copying; duplicates are summed."""
        if isinstance(matrix, SparseRows):
            return matrix
        csr: sp.csr_matrix = matrix.tocsr()
        if not csr.has_canonical_format:
            csr = csr.copy()
            csr.sum_duplicates()
        rows, columns = csr.shape
        return cls(csr.data, csr.indices, csr.indptr, (int(rows), int(columns)))

    @classmethod
    def read(cls, path: Path) -> SparseRows:
        """A CSR that `xmc.data.relevance.save_matrix` wrote, checked as `load_matrix` checks it.

        Raises:
            DataError: As `load_matrix`.
        """
        with reading(path, "a sparse matrix saved with scipy.sparse.save_npz"):
            if set(check_npz(path)) == {"data", "indices", "indptr", "shape", "format"}:
                with np.load(path, allow_pickle=False) as file:
                    shape = tuple(file["shape"].tolist())
                    found = cls(file["data"], file["indices"], file["indptr"], shape)
                    if file["format"].item() in (b"csr", "csr") and found._is_canonical():
                        return found
        from xmc.data.relevance import load_matrix

        return cls.of(load_matrix(path))  # which says what is wrong, or puts it in order

    def _is_canonical(self) -> bool:
        """Whether numbers fit each other, with the columns of each row ascending."""
        count = len(self.indices)
        kinds = self.data.dtype.kind in "biuf", *(part.dtype in (np.int32, np.int64) for part in self[1:3])
        flat = all(part.ndim == 1 for part in self[:3])
        if not (all(kinds) and flat and len(self.shape) == 2 and len(self.data) == count):
            return False
        if not all(isinstance(side, int) and 0 <= side <= MAX_IDS for side in self.shape):
            return False
        if len(self.indptr) != self.shape[0] + 1 or self.indptr[0] != 0 or self.indptr[-1] != count:
            return False
        if (np.diff(self.indptr) < 0).any():
            return False
        if count and not 0 <= self.indices.min() <= self.indices.max() < self.shape[1]:
            return False
        begins = np.zeros(count + 1, dtype=np.bool_)
        begins[self.indptr] = True
        falls = self.indices[1:] <= self.indices[:-1]
        return bool(begins[1:count][falls].all()) if count else True

    def scipy(self) -> sp.csr_matrix:
        """The same as scipy's CSR, without copying."""
        import scipy.sparse as sp

        return sp.csr_matrix((self.data, self.indices, self.indptr), shape=self.shape)

    def where(self, kept: NDArray[np.bool_]) -> SparseRows:
        """Only those places for which ``kept``, as long as ``data``, is true."""
        before = np.concatenate([[0], np.cumsum(kept)])
        return self._replace(
            data=self.data[kept], indices=self.indices[kept], indptr=before[np.asarray(self.indptr)]
        )

    def columns(self, kept: NDArray[np.integer[Any]]) -> SparseRows:
        """Only these columns, ascending and each once, numbered among themselves."""
        left = self.where(np.isin(self.indices, kept))
        places = np.searchsorted(kept, left.indices).astype(self.indices.dtype)
        return left._replace(indices=places, shape=(self.shape[0], len(kept)))

    def without(self, other: SparseRows) -> SparseRows:
        """The same but the pairs of ``other``, of the same shape, whose places of value 0 are none."""
        if self.shape != other.shape:
            raise ValueError(f"expected pairs of {self.shape}, got {other.shape}")
        barred = other.where(other.data != 0)
        return self.where(~np.isin(self._pairs(), barred._pairs()))

    def _pairs(self) -> NDArray[np.int64]:
        """A number for each place that is kept."""
        rows = np.repeat(np.arange(self.shape[0], dtype=np.int64), np.diff(self.indptr))
        return rows * self.shape[1] + self.indices

    def times(self, other: SparseRows) -> NDArray[np.float32]:
        """The dense product [N, W] with ``other`` [M, W], of which only the rows that count are read.

        Sums are of float32, in the order of a row's places. ``other`` may lie on disk, unread and unchecked.

        Raises:
            IndexError: When a column of either is beyond its width.
        """
        product = np.zeros((self.shape[0], other.shape[1]), dtype=np.float32)
        starts, values = np.asarray(other.indptr), np.asarray(other.data)
        columns = np.asarray(other.indices)
        if columns.dtype == np.int32:
            # A negative column, which numpy would count from the end, is a very large one.
            columns = columns.view(np.uint32)
        elif columns.min(initial=0) < 0:
            raise IndexError(f"expected columns from 0, got {columns.min()}")
        lows, highs = starts[:-1][self.indices].tolist(), starts[1:][self.indices].tolist()
        bounds = self.indptr.tolist()
        for row, first, last in zip(product, bounds[:-1], bounds[1:], strict=True):
            for place in range(first, last):
                own = slice(lows[place], highs[place])
                row[columns[own]] += self.data[place] * values[own]
        return product

    def weighted(self, ids: NDArray[np.integer[Any]], weights: NDArray[np.float64]) -> SparseRows:
        """For each of n rows the weighted sum of K rows of these, float64 [n, M].

        Args:
            ids: Rows [n, K] of these; -1 pads.
            weights: [n, K], of each; not of pads.
        """
        places, kept = np.nonzero(ids >= 0)
        chosen = ids[places, kept]
        counts = np.diff(self.indptr)[chosen]
        ends = np.cumsum(counts)
        # Of each chosen row its places one after the other.
        offsets = np.repeat(self.indptr[chosen] - (ends - counts), counts)
        found = np.arange(len(offsets)) + offsets
        keys = np.repeat(places, counts) * self.shape[1] + self.indices[found]
        values = np.repeat(weights[places, kept], counts) * self.data[found]
        unique, which = np.unique(keys, return_inverse=True)
        rows, columns = np.divmod(unique, max(1, self.shape[1]))
        indptr = np.searchsorted(rows, np.arange(len(ids) + 1))
        return SparseRows(np.bincount(which, values, len(unique)), columns, indptr, (len(ids), self.shape[1]))
