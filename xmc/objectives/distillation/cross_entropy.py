"""The cross-entropy of a student to teachers' probabilities over a few candidates and one bucket of the rest.

Source: Shen and Savvides 2020, "MEAL V2" (arXiv 2009.08453), section 3, whose loss is over all classes. Here
a row's teachers speak of some labels one by one, and of all others together.
"""

from __future__ import annotations

import torch
from torch import Tensor

from xmc.objectives.statistics.segments import row_log_sum_exp
from xmc.scoring import Positives

__all__ = ["log_total", "rest_of", "soft_cross_entropy"]


def rest_of(candidates: Positives, like: Tensor) -> Tensor:
    """What the teachers leave to all labels that are no candidates: [B], 0 for a row without candidates."""
    told = candidates.row_sum(like.new_ones(len(candidates)))
    # Rounded probabilities may add up to a little more than 1.
    return torch.where(candidates.row_counts() > 0, 1.0 - told, 0.0).clamp(min=0.0)


def log_total(scores: Tensor, candidates: Positives, log_rest: Tensor) -> Tensor:
    """The log partition function over all labels, candidates and others: [B]. Arguments as below."""
    log_told = row_log_sum_exp(scores, candidates)
    # Where both are -inf logaddexp has no gradient.
    empty = torch.isneginf(log_told) & torch.isneginf(log_rest)
    total = torch.logaddexp(log_told.masked_fill(empty, 0.0), log_rest.masked_fill(empty, 0.0))
    return total.masked_fill(empty, -torch.inf)


def soft_cross_entropy(scores: Tensor, candidates: Positives, log_rest: Tensor) -> Tensor:
    """``-sum_c p_ic log q_ic - r_i log q_i,rest`` of each row i, with ``r_i = 1 - sum_c p_ic``.

    ``q`` is the student's softmax over all labels, and ``q_rest`` what it gives to those that are no
    candidates. Its gradient by a candidate's score is ``q_ic - p_ic`` and by ``log_rest`` ``q_i,rest - r_i``;
    its least value is the entropy of ``(p_i, r_i)``.

    Args:
        scores: The student's scores of the candidates, [C].
        candidates: The C pairs of B rows; their weights are the teachers' probabilities.
        log_rest: [B], the log partition function of the student over the labels that are no candidates of the
            row, -inf where there are none: a rest of the teachers' is left out there.

    Returns:
        [B], 0 for a row without candidates.
    """
    total, rest = log_total(scores, candidates, log_rest), rest_of(candidates, scores)
    told = candidates.row_sum(total[candidates.rows] - scores)
    # A row without candidates has no rest; where no label is left over there is nothing to give it to.
    kept = (rest > 0) & torch.isfinite(log_rest)
    untold = torch.where(kept, total, 0.0) - torch.where(kept, log_rest, 0.0)
    return told + rest * untold
