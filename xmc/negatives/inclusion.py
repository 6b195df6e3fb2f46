"""The probability that a step's pool includes a label, from every source together."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

__all__ = ["in_batch_inclusion", "union_inclusion"]


def in_batch_inclusion(label_counts: np.ndarray, num_rows: int, batch_size: int) -> np.ndarray:
    """Probability that a label is a positive of at least one *other* query of a row's batch.

    A batch is ``batch_size`` of ``num_rows`` training rows, drawn without replacement; a label that is a
    negative of one row is among the positives of ``label_counts[l]`` of the other ``num_rows - 1``.
    Hypergeometric: ``1 - C(num_rows - 1 - n, batch_size - 1) / C(num_rows - 1, batch_size - 1)``.

    Args:
        label_counts: [L], the number of training rows each label is a positive of.
        num_rows: Training rows.
        batch_size: Queries a step, over all ranks.

    Returns:
        [L] float64 in [0, 1].
    """
    counts = np.asarray(label_counts, dtype=np.float64)
    others, drawn = num_rows - 1, batch_size - 1
    # More rows without the label than are drawn, or the label is in every draw.
    free = others - counts - drawn
    certain = free < 0
    free = np.where(certain, 0, free)
    # Paired so that a label without rows gives exactly 0, whatever the size of the terms.
    log_missing = (gammaln(others - counts + 1) - gammaln(others + 1)) + (
        gammaln(others - drawn + 1) - gammaln(free + 1)
    )
    return np.where(certain, 1.0, -np.expm1(np.minimum(log_missing, 0.0)))


def union_inclusion(*probabilities: np.ndarray | float) -> np.ndarray:
    """Inclusion probability of a union of independent sources: ``1 - prod(1 - p)``, in float64."""
    missing = np.asarray(1.0)
    for probability in probabilities:
        missing = missing * (1.0 - np.asarray(probability, dtype=np.float64))
    return 1.0 - missing
