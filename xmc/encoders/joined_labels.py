"""A label's encoded text and its residual, joined into one vector."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["add_residuals"]

_SHORTEST = 1e-12


def add_residuals(labels: Tensor, residuals: Tensor, rows: Tensor | None = None) -> Tensor:
    """Encoded label texts [n, D] plus residuals, each sum at the length of its encoded text.

    Without the last, a label could grow its vector instead of turning it, which is what an offset is for, and
    would be long where unseen labels are short. Numbers of half precision are joined in float32.

    Args:
        labels: [n, D].
        residuals: [n, D], or [m, D] of ``rows``.
        rows: int64 [m], distinct: the labels that have a residual; all of them by default.
    """
    dtype = torch.promote_types(labels.dtype, residuals.dtype)
    wide = torch.promote_types(dtype, torch.float32)
    joined: Tensor = _Joined.apply(labels.to(wide), residuals.to(wide), rows)  # type: ignore[no-untyped-call]
    return joined.to(dtype)


class _Joined(torch.autograd.Function):
    """x and r to v = (x + r) |x| / |x + r| of each row, in few passes: a pool is larger than a cache.

    With f = |x| / |x + r| and p = g.v, for a gradient g of v: that of r is f g - p / (|x| |x + r|) v, the
    part that turns the label, and that of x is the same plus p / |x|^2 x.
    """

    @staticmethod
    def forward(ctx: Any, labels: Tensor, residuals: Tensor, rows: Tensor | None) -> Tensor:
        joined = labels + residuals if rows is None else labels.clone().index_add_(0, rows, residuals)
        length = torch.linalg.vector_norm(labels, dim=1, keepdim=True)
        reached = torch.linalg.vector_norm(joined, dim=1, keepdim=True).clamp_(min=_SHORTEST)
        joined.mul_(length / reached)
        ctx.save_for_backward(labels, joined, length, reached)
        ctx.rows = rows
        return joined

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        labels, joined, length, reached = ctx.saved_tensors
        along = (gradient * joined).sum(1, keepdim=True)
        # A label without a known token has no length, and no gradient along itself.
        some = length.clamp(min=_SHORTEST)
        turned = (gradient * (length / reached)).addcmul_(joined, along / (some * reached), value=-1)
        stretched = along.div_(some.square())
        if ctx.rows is None:
            return torch.addcmul(turned, labels, stretched), turned, None
        back = turned.index_select(0, ctx.rows)
        return turned.addcmul_(labels, stretched), back, None
