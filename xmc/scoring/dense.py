"""Scoring with the whole score matrix in memory and plain autograd: the oracle of every test."""

from __future__ import annotations

import torch
from torch import Tensor

from xmc.scoring.inputs import ScoreInputs
from xmc.scoring.statistic import RowStatistic

__all__ = ["dense_scores", "reduce_dense"]


def dense_scores(queries: Tensor, labels: Tensor, scale: Tensor, offsets: Tensor | None) -> Tensor:
    """``scale * q.e + offset`` for all pairs: [B, L], in float32 at least, also within autocast."""
    if queries.dtype in (torch.float16, torch.bfloat16):
        # As the other engines: scores of halves are computed and kept in float32.
        queries = queries.float()
    labels = labels.to(queries.dtype)
    with torch.autocast(queries.device.type, enabled=False):
        scores = scale.to(queries.dtype) * (queries @ labels.T)
    return scores if offsets is None else scores + offsets.to(scores.dtype)


def reduce_dense(inputs: ScoreInputs, statistic: RowStatistic, scale: Tensor) -> tuple[Tensor, Tensor]:
    """The same result as :func:`xmc.scoring.reduce_scores`, in memory that grows with B x L."""
    positives, log_weights = inputs.pairs, inputs.log_weights
    scores = dense_scores(inputs.queries, inputs.labels, scale, inputs.offsets)
    positive_scores = scores[positives.rows, positives.labels]
    mask, masked = inputs.positive_mask(), inputs.mask_of(inputs.masked_pairs)
    if statistic.masks_positives:
        scores = scores.masked_fill(mask | masked, -torch.inf)
    elif inputs.masked_pairs is not None and log_weights is None:
        log_weights = scores.new_zeros(())
    if log_weights is not None:
        # In its own row a positive is in the pool for certain, and a masked label is not in it.
        log_weights = log_weights.expand(scores.shape).masked_fill(mask, 0.0)
        log_weights = log_weights.masked_fill(masked, 0.0 if statistic.masks_positives else -torch.inf)
    return positive_scores, statistic.dense(scores, log_weights)
