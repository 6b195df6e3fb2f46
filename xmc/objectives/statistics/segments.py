"""Log-sum-exp over each row's positives."""

from __future__ import annotations

import torch
from torch import Tensor

from xmc.scoring import Positives
from xmc.scoring.arithmetic import deterministic_index_add

__all__ = ["row_log_sum_exp"]


def row_log_sum_exp(values: Tensor, positives: Positives) -> Tensor:
    """``log sum_c exp(value_c)`` over each row's positives, from [P] values: [B], -inf for a row without."""
    lowest = values.new_full((positives.num_rows,), -torch.inf)
    # The largest value is subtracted before exp, as in any log-sum-exp; as a constant it needs no gradient.
    highest = lowest.scatter_reduce(0, positives.rows, values.detach(), "amax")
    shift = torch.where(torch.isneginf(highest), 0.0, highest)
    terms = torch.exp(values - shift[positives.rows])
    sums = deterministic_index_add(values.new_zeros(positives.num_rows), positives.rows, terms)
    # log has no gradient at 0, which is the sum of a row without positives.
    present = sums > 0
    return torch.where(present, shift + torch.log(torch.where(present, sums, 1.0)), lowest)
