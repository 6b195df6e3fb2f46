"""The weighted mean and the centred Gram matrix of labels: all that a spherical loss has to know of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["label_moments"]

BLOCK_ELEMENTS = 1 << 20


def label_moments(
    labels: Tensor, offsets: Tensor | None, weights: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Total weight, mean and scatter of labels with their offsets as one more dimension: e' = [e, offset].

    The Gram matrix is taken about the mean: about the origin, the variance of a query's scores would be a
    difference of nearly equal numbers (with labels whose mean score is 64 times their spread, off by 6e-4 in
    float32).

    Args:
        labels: [l, D].
        offsets: [l], or None for 0.
        weights: [l] above 0, or None for 1; they carry no gradient.

    Returns:
        Total weight, a float64 scalar; mean [D + 1] float64; scatter
        ``sum_j w_j (e'_j - mean)(e'_j - mean)^T`` [D + 1, D + 1], in products of the labels' type (float32 at
        least) added up in float64. With gradients to labels and offsets, affine in e'_j:
        ``w_j (mean' / total + (scatter' + scatter'^T)(e'_j - mean))``. Forward and backward take l D^2 each,
        and memory for a block of labels.
    """
    if offsets is None:
        offsets = labels.new_zeros(len(labels))
    return _LabelMoments.apply(labels, offsets, weights)  # type: ignore[no-any-return, no-untyped-call]


class _LabelMoments(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, labels: Tensor, offsets: Tensor, weights: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        if weights is not None:
            weights = weights.detach().double()
        size = labels.shape[1] + 1
        total = labels.new_tensor(len(labels), dtype=torch.float64) if weights is None else weights.sum()
        mean = labels.new_zeros(size, dtype=torch.float64)
        for part in _blocks(labels):
            mean += _sum(labels[part], offsets[part], None if weights is None else weights[part])
        mean /= total if len(labels) else 1.0
        scatter = labels.new_zeros(size, size, dtype=torch.float64)
        for part in _blocks(labels):
            centred = _centred(labels[part], offsets[part], mean)
            weighted = centred if weights is None else centred * weights[part, None].to(centred.dtype)
            scatter += weighted.T @ centred
        # The mean was rounded before it was subtracted; what that added to the scatter is known.
        rounding = mean - mean.to(_product_type(labels)).double()
        scatter -= total * torch.outer(rounding, rounding)
        ctx.save_for_backward(labels, offsets, weights, mean, total)
        ctx.mark_non_differentiable(total)
        return total, mean, scatter

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        labels, offsets, weights, mean, total = ctx.saved_tensors
        dtype = _product_type(labels)
        constant, linear = (gradients[1] / total).to(dtype), (gradients[2] + gradients[2].T).to(dtype)
        by_label, by_offset = torch.empty_like(labels), torch.empty_like(offsets)
        for part in _blocks(labels):
            centred = _centred(labels[part], offsets[part], mean)
            gradient = constant.repeat(len(centred), 1).addmm_(centred, linear)
            if weights is not None:
                gradient *= weights[part, None].to(dtype)
            by_label[part], by_offset[part] = gradient[:, :-1], gradient[:, -1]
        return by_label, by_offset, None


def _product_type(labels: Tensor) -> torch.dtype:
    """The labels' type, float32 at least."""
    return torch.promote_types(labels.dtype, torch.float32)


def _sum(labels: Tensor, offsets: Tensor, weights: Tensor | None) -> Tensor:
    """The weighted sum of a block's extended labels, [D + 1] float64."""
    if weights is None:
        return torch.cat([labels.sum(0, dtype=torch.float64), offsets.sum(0, dtype=torch.float64).view(1)])
    return torch.cat([weights @ labels.double(), (weights @ offsets.double()).view(1)])


def _centred(labels: Tensor, offsets: Tensor, mean: Tensor) -> Tensor:
    """A block's extended labels less the mean, [n, D + 1]; exact where the mean is far above the spread."""
    dtype = _product_type(labels)
    mean = mean.to(dtype)
    centred = torch.empty(len(labels), len(mean), dtype=dtype, device=labels.device)
    torch.sub(labels, mean[:-1], out=centred[:, :-1])
    torch.sub(offsets.to(dtype), mean[-1], out=centred[:, -1])
    return centred


def _blocks(labels: Tensor) -> Iterator[slice]:
    size = max(1, BLOCK_ELEMENTS // (labels.shape[1] + 1))
    return (slice(start, start + size) for start in range(0, len(labels), size))
