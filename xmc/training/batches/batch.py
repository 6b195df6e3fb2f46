"""A batch: which queries and labels a step scores, and what is known of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from xmc.scoring import FrozenLabels
    from xmc.scoring.moments import LabelMoments
    from xmc.training.learned.frozen_encoder import FrozenEncoder
    from xmc.training.learned.learner import ScoreParameters

__all__ = ["Batch", "Moment", "Pool", "WeightsApart"]


@dataclass(frozen=True)
class Moment:
    """Where a run stands when a batch is drawn.

    Attributes:
        batch_index: Batches scored since the start of the run; with the seed, decides every draw.
        step: Optimiser steps taken.
        encoder: The encoder by its present weights; later steps change it.
        scores: The scale and the label offsets, likewise.
    """

    batch_index: int
    step: int
    encoder: FrozenEncoder
    scores: ScoreParameters


class WeightsApart(NamedTuple):
    """Queries of a batch for which labels come with other chances.

    Attributes:
        rows: bool [B].
        log_weights: [n] float32, minus the log of each label's inclusion probability as their negative.
    """

    rows: np.ndarray
    log_weights: np.ndarray


@dataclass(frozen=True)
class Pool:
    """The labels of a step.

    Attributes:
        label_ids: [n] int64, ascending and distinct.
        positives: CSR [B, n], the batch's relevance over the pool's columns.
        log_weights: [n] float32, minus the log inclusion probability of each label as a negative of a query
            that does not bring it itself, or None when all are certain.
        certain: CSR bool [B, n], the negatives that a query (or its cluster) brings itself, whose weight in
            that query's row is 1; or None when there are none.
        masked: CSR bool [B, n], the pairs that are neither positive nor negative; or None when there are
            none. A pool that is scored beside labels outside it has all masked labels of its queries, but not
            those of ``dropped``.
        apart: The queries that ``log_weights`` are not of: labels as queries of themselves; None for none.
        dropped: CSR bool [B, L], the positives of each query that are not kept, or None where all are. They
            are no negatives of it, neither in the pool (``masked`` has them) nor outside.
    """

    label_ids: np.ndarray
    positives: sp.csr_matrix
    log_weights: np.ndarray | None
    certain: sp.csr_matrix | None = None
    masked: sp.csr_matrix | None = None
    apart: WeightsApart | None = None
    dropped: sp.csr_matrix | None = None


@dataclass(frozen=True)
class Batch:
    """What one scored batch holds, the same on every rank.

    Attributes:
        batch_index: Batches scored before it since the start of the run.
        queries: [B] int64, positions among the training queries; from N on, labels as queries.
        pool: The labels to score with a gradient, and each query's positives among them.
        outside: Labels outside the pool, to be scored without one, or None.
        targets: CSR float32 [B, n], the probabilities that teachers give to labels of the pool, or None.
        weights: [B] float32, what each query's loss counts for; None for 1 each.
    """

    batch_index: int
    queries: np.ndarray
    pool: Pool
    outside: FrozenLabels | LabelMoments | None = None
    targets: sp.csr_matrix | None = None
    weights: np.ndarray | None = None
