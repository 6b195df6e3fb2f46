"""Validation rows are held out of the training rows, never of the test set."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from xmc.errors import ConfigError
from xmc.random_streams import Stream, generator

__all__ = ["labelled_rows", "train_validation_split"]


def labelled_rows(relevance: sp.csr_matrix) -> np.ndarray:
    """Rows of a CSR [N, L] with at least one label: int64 [n], ascending."""
    return np.flatnonzero(np.diff(relevance.indptr)).astype(np.int64)


def train_validation_split(
    relevance_train: sp.csr_matrix, num_validation: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw validation rows uniformly from the labelled training rows; the rest are for training.

    A row without labels is in neither part. A label may lose its only training row to the validation part.

    Args:
        relevance_train: CSR [N, L].
        num_validation: How many rows to hold out; 0 for none.
        seed: The same seed gives the same rows.

    Returns:
        Training rows int64 [n - num_validation] and validation rows int64 [num_validation], both ascending.

    Raises:
        ConfigError: When nothing would be left to train on.
    """
    rows = labelled_rows(relevance_train)
    if not 0 <= num_validation < max(len(rows), 1):
        raise ConfigError(
            f"expected between 0 and {max(len(rows) - 1, 0)} validation rows, as {len(rows)} training rows "
            f"have labels, got {num_validation}: hold out fewer (validation.rows; 0 for none)"
        )
    if len(rows) == 0:
        raise ConfigError("expected at least one training row with a label, got none")
    order = generator(seed, Stream.VALIDATION_ROWS).permutation(len(rows))
    return np.sort(rows[order[num_validation:]]), np.sort(rows[order[:num_validation]])
