"""Which labels come with a label in the training rows, and how often: soft targets of a label's own query.

Source: Kharbanda et al., "Learning label-label correlations in Extreme Multi-label Classification via Label
Features" (Gandalf), KDD 2024 (arXiv 2405.04545), where rows of a label graph, cut at a threshold, are the
targets of label texts. Here the graph is the co-occurrence matrix itself, not smoothed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from xmc.errors import ConfigError

__all__ = ["co_label_shares"]

PAIRS_OF_A_BLOCK = 1 << 22
"""Products of one block of labels, of 12 bytes each: what a block of the matrix can be at most."""


def co_label_shares(
    relevance: sp.csr_matrix,
    threshold: float,
    prior: float = 0.0,
    *,
    pairs_of_a_block: int = PAIRS_OF_A_BLOCK,
) -> sp.csr_matrix:
    """The share of each label's rows that have each other label too, where it reaches ``threshold``.

    ``A_lj = |rows with l and j| / (|rows with l| + prior)`` for ``j != l``: with a prior of 0 each row of the
    co-occurrence matrix ``Y^T Y`` divided by its diagonal. A label of one row has shares of 1 then, of which
    little is known; a prior is so many rows more, without the other label.

    The matrix is made a block of labels at a time and cut at once, so that no more is held than a block and
    what is kept: at most ``mean |P_i| / threshold`` labels for each label, the mean being over its rows i.

    Args:
        relevance: CSR [N, L]; a pair counts once, whatever its relevance.
        threshold: The least share that is kept, in (0, 1].
        prior: Rows that each label is taken to have besides its own; 0 or more.
        pairs_of_a_block: Products that a block may take; one label may take more.

    Returns:
        CSR float32 [L, L] of shares in [threshold, 1]; the diagonal is empty, and so is the row of a label
        without rows.

    Raises:
        ConfigError: When ``threshold`` is not in (0, 1], or ``prior`` below 0.
    """
    if not 0 < threshold <= 1:
        raise ConfigError(f"data.co_labels: expected a share above 0 and at most 1, got {threshold}")
    if not 0 <= prior < math.inf:
        raise ConfigError(f"data.co_label_prior: expected 0 rows or more, got {prior}")
    # Counts below 2^24 are exact in float32; a label in more rows than that is rounded by 1e-7.
    rows = sp.csr_matrix(
        (np.ones(relevance.nnz, np.float32), relevance.indices, relevance.indptr), shape=relevance.shape
    )
    by_label = sp.csr_matrix(rows.T)
    costs = by_label @ np.diff(rows.indptr).astype(np.float64)
    parts = [
        _kept(by_label[first:last], rows, first, threshold, prior)
        for first, last in _blocks(costs, pairs_of_a_block)
    ]
    if not parts:
        return sp.csr_matrix(np.zeros((0, 0), np.float32))
    return sp.csr_matrix(sp.vstack(parts, format="csr"))


def _kept(
    block: sp.csr_matrix, rows: sp.csr_matrix, first: int, threshold: float, prior: float
) -> sp.csr_matrix:
    """The shares of labels from ``first`` on, whose rows are ``block`` [b, N], that reach the threshold."""
    found = sp.coo_matrix(block @ rows)
    shares = found.data / (prior + np.diff(block.indptr)[found.row])
    # A share that is the threshold itself, such as 1 / 10, is rounded to either side of it.
    kept = (found.col != found.row + first) & (shares >= threshold * (1 - 1e-6))
    pairs = shares[kept].astype(np.float32), (found.row[kept], found.col[kept])
    return sp.csr_matrix(pairs, shape=found.shape)


def _blocks(costs: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Consecutive labels whose costs [L] add up to ``most``, or one that costs more by itself."""
    total, first = np.cumsum(costs), 0
    while first < len(costs):
        before = total[first - 1] if first else 0.0
        last = max(first + 1, int(np.searchsorted(total, before + most, side="right")))
        yield first, last
        first = last
