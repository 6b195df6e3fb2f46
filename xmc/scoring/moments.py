"""What a set of labels is known by when only the mean and spread of its scores matter."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["LabelMoments"]


class LabelMoments(NamedTuple):
    """Moments of a set of labels extended by their offsets, float64.

    Attributes:
        total: Total weight, a scalar.
        mean: [D + 1].
        scatter: ``sum_j w_j (e'_j - mean)(e'_j - mean)^T`` [D + 1, D + 1].
    """

    total: Tensor
    mean: Tensor
    scatter: Tensor

    def merged(self, other: LabelMoments) -> LabelMoments:
        """Those of both sets together, differentiable; one of the two must not be empty."""
        total = self.total + other.total
        # Chan, Golub and LeVeque's update: no difference of large sums, whichever set is the larger.
        apart = self.mean - other.mean
        mean = other.mean + apart * (self.total / total)
        between = torch.outer(apart, apart) * (self.total * other.total / total)
        return LabelMoments(total, mean, self.scatter + other.scatter + between)
