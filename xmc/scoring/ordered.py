"""Adding values up by index in the same order every time, on a GPU too."""

from __future__ import annotations

from torch import Tensor

__all__ = ["deterministic_index_add"]


def deterministic_index_add(total: Tensor, index: Tensor, values: Tensor) -> Tensor:
    """``total[index[p]] += values[p]`` in place, differentiable by ``values``.

    Args:
        total: [n, ...].
        index: [P] int64; repeated ones add up.
        values: [P, ...].
    """
    if total.is_cuda:
        # There index_add_ adds by atomics, in whatever order; index_put_ sorts the indices first.
        return total.index_put_((index,), values, accumulate=True)
    return total.index_add_(0, index, values)
