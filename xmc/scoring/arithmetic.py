"""Products and sums of decided precision and order.

Products are accumulated in float32 at least, on a GPU's matrix units where the inputs are halves; values are
added up by index in the same order every time, on a GPU too.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "HALF",
    "accumulation_type",
    "add_product",
    "deterministic_index_add",
    "scaled_product",
    "slope_product",
]

HALF = (torch.float16, torch.bfloat16)


def accumulation_type(dtype: torch.dtype) -> torch.dtype:
    """What scores of embeddings of this type are computed in: float32 for halves, else the type itself."""
    return torch.float32 if dtype in HALF else dtype


def scaled_product(left: Tensor, right: Tensor, scale: float, offsets: Tensor | None, out: Tensor) -> Tensor:
    """``scale * left @ right + offsets`` into ``out``, accumulated in its type: float32 or float64."""
    # Matrix units multiply halves and add up in float32: full speed without float32 copies of the embeddings.
    # On a CPU the product of halves would be rounded to halves, so they are converted.
    if left.dtype in HALF and left.dtype == right.dtype and left.is_cuda:
        torch.mm(left, right, out_dtype=torch.float32, out=out).mul_(scale)
        return out if offsets is None else out.add_(offsets)
    left, right = left.to(out.dtype), right.to(out.dtype)
    if offsets is None:
        return torch.addmm(out, left, right, beta=0, alpha=scale, out=out)
    # Scale and offsets within the product: a pass over the tile less for each.
    return torch.addmm(offsets, left, right, alpha=scale, out=out)


_ALIGNED = 8
"""Halves that matrix units load at once: products over another number of them run on slow kernels."""


def slope_product(slopes: Tensor, vectors: Tensor) -> Tensor:
    """``slopes @ vectors``: [n, m] by [m, D], accumulated and returned in float32, or float64.

    On a GPU the product with half-precision vectors takes both in bfloat16 (float16 has no place for slopes
    of 1e-9, which a softmax over a million labels gives).
    """
    if vectors.dtype in HALF and vectors.is_cuda:
        slopes, vectors = slopes.to(torch.bfloat16), vectors.to(torch.bfloat16)
        whole = len(vectors) // _ALIGNED * _ALIGNED
        if whole in (0, len(vectors)):
            return torch.mm(slopes, vectors, out_dtype=torch.float32)
        product = torch.mm(slopes[:, :whole], vectors[:whole], out_dtype=torch.float32)
        return product.add_(torch.mm(slopes[:, whole:], vectors[whole:], out_dtype=torch.float32))
    dtype = accumulation_type(torch.promote_types(slopes.dtype, vectors.dtype))
    return slopes.to(dtype) @ vectors.to(dtype)


def add_product(total: Tensor, slopes: Tensor, vectors: Tensor) -> Tensor:
    """``total += slopes @ vectors`` in place, in the type of ``total``; see :func:`slope_product`."""
    if vectors.dtype in HALF and vectors.is_cuda:
        return total.add_(slope_product(slopes, vectors))
    return total.addmm_(slopes.to(total.dtype), vectors.to(total.dtype))


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
