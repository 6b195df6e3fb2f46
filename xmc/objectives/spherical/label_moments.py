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

    The Gram matrix is taken about the mean: about the origin, the variance of a query's scores would be a difference
    of nearly equal numbers (with labels whose mean score is 64 times their spread, off by 6e-4 in float32).

    Args:
        labels: [l, D].
        offsets: [l], or None for 0.
        weights: [l] above 0, or None for 1; they carry no gradient.

    Returns:
        Total weight, a float64 scalar; mean [D + 1] float64; scatter ``sum_j w_j (e'_j - mean)(e'_j - mean)^T``
        [D + 1, D + 1], in products of the labels' type (float32 at least) added up in float64. With gradients to
        labels and offsets, affine in e'_j: ``w_j (mean' / total + (scatter' + scatter'^T)(e'_j - mean))``. Forward
        and backward take l D^2 each, and memory for a block of labels.
    """
    if offsets is None:
        offsets = labels.new_zeros(len(labels))
    return _LabelMoments.apply(labels, offsets, weights)  # type: ignore[no-any-return, no-untyped-call]


class _LabelMoments(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, labels: Tensor, offsets: Tensor, weights: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        if weights is None:
            weights = labels.new_ones(len(labels), dtype=torch.float64)
        weights = weights.detach().double()
        total = weights.sum()
        size = labels.shape[1] + 1
        mean = weights.new_zeros(size)
        for part in _blocks(labels):
            mean += weights[part] @ _extended(labels[part], offsets[part])
        mean /= total if len(labels) else 1.0
        scatter = weights.new_zeros(size, size)
        product = torch.promote_types(labels.dtype, torch.float32)
        for part in _blocks(labels):
            centred = (_extended(labels[part], offsets[part]) - mean).to(product)
            scatter += (centred.T * weights[part].to(product)) @ centred
        ctx.save_for_backward(labels, offsets, weights, mean, total)
        ctx.mark_non_differentiable(total)
        return total, mean, scatter

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        labels, offsets, weights, mean, total = ctx.saved_tensors
        constant = gradients[1] / total
        product = torch.promote_types(labels.dtype, torch.float32)
        linear = (gradients[2] + gradients[2].T).to(product)
        by_label, by_offset = torch.empty_like(labels), torch.empty_like(offsets)
        for part in _blocks(labels):
            centred = (_extended(labels[part], offsets[part]) - mean).to(product)
            gradient = (centred @ linear + constant.to(product)) * weights[part, None].to(product)
            by_label[part], by_offset[part] = gradient[:, :-1], gradient[:, -1]
        return by_label, by_offset, None


def _extended(labels: Tensor, offsets: Tensor) -> Tensor:
    return torch.cat([labels.double(), offsets.double()[:, None]], 1)


def _blocks(labels: Tensor) -> Iterator[slice]:
    size = max(1, BLOCK_ELEMENTS // (labels.shape[1] + 1))
    return (slice(start, start + size) for start in range(0, len(labels), size))
