"""A score that the k best labels of a query are most likely above, from a sample of the labels.

Of L labels every s-th is a sample. How many of a query's k best are in it is close to a Poisson count of mean
``k / s``. Where r is so large that it hardly ever comes to r of them, the r-th best score of the sample is
below the k-th best of all labels, and only some ``r s`` labels are above it. A search that looks at these
alone then has to make sure that they were k, and to search again for a query of which they were not.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from scipy.special import pdtrc
from torch import Tensor

__all__ = ["likely_floor", "sample_stride"]

_LEAST_STRIDE = 32
# As many as a tile of the search has columns on a CPU, so that their scores take no memory of their own.
_MOST_SAMPLED = 63 * 64
# The share of queries whose floor is too high, were labels in random order.
_TOO_HIGH = 1e-4


def sample_stride(num_labels: int, k: int) -> int | None:
    """s, for a sample whose product is little beside that of all labels; None where none is of use."""
    stride = max(_LEAST_STRIDE, -(-num_labels // _MOST_SAMPLED))
    return stride if 2 * _rank(k, stride) * stride <= num_labels else None


def likely_floor(sample_scores: Tensor, k: int, stride: int) -> Tensor:
    """The r-th best of each row of the sample's scores [B, m], m at least r: [B]; -inf where it is NaN."""
    floor = torch.topk(sample_scores, _rank(k, stride), dim=1, sorted=True).values[:, -1]
    return floor.masked_fill(floor.isnan(), -torch.inf)


@lru_cache
def _rank(k: int, stride: int) -> int:
    """The least r with ``P(Poisson(k / s) >= r)`` at most what may go wrong."""
    rank = 1
    while pdtrc(rank - 1, k / stride) > _TOO_HIGH:
        rank += 1
    return rank
