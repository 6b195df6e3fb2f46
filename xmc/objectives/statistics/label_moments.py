"""The weighted mean and the centred Gram matrix of labels: all that a spherical loss has to know of them.

The products of the positive pairs are taken in the same place, so that the labels' gradient, which is affine
in them but for the pairs', is written once: [l, D] and no second array of that size.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from xmc.scoring.moments import LabelMoments
from xmc.scoring.pairs import add_pair_products, gathered_products

__all__ = ["label_moments", "label_moments_and_products"]

# 2 MB of float32: a block stays in a core's cache between centring and the product.
BLOCK_ELEMENTS = 1 << 19


def label_moments(labels: Tensor, offsets: Tensor | None, weights: Tensor | None) -> LabelMoments:
    """Total weight, mean and scatter of labels with their offsets as one more dimension: e' = [e, offset].

    The Gram matrix is taken about the mean: about the origin, the variance of a query's scores would be a
    difference of nearly equal numbers (in float32, with labels whose mean score is 64 times the spread of
    their scores, off by 6e-4).

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
    none = torch.empty(0, dtype=torch.int64, device=labels.device)
    return label_moments_and_products(labels, offsets, weights, labels[:0].detach(), none, none)[0]


def label_moments_and_products(
    labels: Tensor,
    offsets: Tensor | None,
    weights: Tensor | None,
    queries: Tensor,
    rows: Tensor,
    columns: Tensor,
    gradient_weights: Tensor | None = None,
) -> tuple[LabelMoments, Tensor, Tensor]:
    """:func:`label_moments` and the products of pairs, ``queries[rows[p]] . labels[columns[p]]``.

    Args:
        labels: [l, D].
        offsets: [l] or None.
        weights: [l] or None.
        queries: [B, D].
        rows: [P] int64, in ``range(B)``.
        columns: [P] int64, in ``range(l)``, ascending.
        gradient_weights: [l], or None for 1: what the gradient that reaches a label as a member of the set
            is multiplied by, and no value.

    Returns:
        The moments, and twice the same products [P] float64: of pairs by themselves, and of pairs as members
        of the set, to be taken out of the moments. With gradients to labels, offsets and queries.
    """
    if offsets is None:
        offsets = labels.new_zeros(len(labels))
    given = (labels, offsets, weights, queries, rows, columns, gradient_weights)
    total, mean, scatter, products, members = _LabelMoments.apply(*given)  # type: ignore[no-untyped-call]
    return LabelMoments(total, mean, scatter), products, members


class _LabelMoments(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        labels: Tensor,
        offsets: Tensor,
        weights: Tensor | None,
        queries: Tensor,
        rows: Tensor,
        columns: Tensor,
        gradient_weights: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        if weights is not None:
            weights = weights.detach().double()
        total, mean, scatter = _moments(labels, offsets, weights)
        # A gradient that reaches a label as a member of the set is multiplied by its weight in the moments
        # and by what its gradient is to be weighed with besides.
        label_weights = weights if gradient_weights is None else gradient_weights.double()
        if weights is not None and gradient_weights is not None:
            label_weights = weights * gradient_weights.double()
        ctx.save_for_backward(
            labels, offsets, label_weights, mean, total, queries, rows, columns, gradient_weights
        )
        ctx.mark_non_differentiable(total)
        products = gathered_products(queries, rows, labels, columns)
        # One number under two names, as the two uses of it have different gradients: see backward.
        return total, mean, scatter, products, products.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        labels, offsets, weights, mean, total, queries, rows, columns, of_members = ctx.saved_tensors
        _, grad_mean, grad_scatter, grad_products, grad_members = gradients
        dtype = _product_type(labels)
        grad_queries = None
        if ctx.needs_input_grad[3]:
            grad_queries = torch.zeros_like(queries, dtype=_product_type(queries))
            grad_pairs = grad_products + grad_members
            add_pair_products(grad_queries, rows, labels, columns, grad_pairs)
            grad_queries = grad_queries.to(queries.dtype)
        if not (ctx.needs_input_grad[0] or ctx.needs_input_grad[1]):
            return None, None, None, grad_queries, None, None, None
        # d mean / d e_j = w_j / total. d scatter = sum_j w_j (de_j c_j^T + c_j de_j^T) with c_j = e_j - mean:
        # what the mean's own change adds is multiplied by sum_j w_j c_j = 0.
        constant, linear = (grad_mean / total).to(dtype), (grad_scatter + grad_scatter.T).to(dtype)
        # A positive is taken out of the moments that it is in as a label of the set. Its gradient there must
        # be weighed like the set's, or the two would not cancel.
        if of_members is not None:
            grad_members = grad_members * of_members[columns].double()
        grad_products = grad_products + grad_members
        grad_labels, grad_offsets = torch.empty_like(labels), torch.empty_like(offsets)
        for part, pairs in _blocks_with_pairs(labels, columns):
            centred = _centred(labels[part], offsets[part], mean)
            gradient = constant.repeat(len(centred), 1).addmm_(centred, linear)
            if weights is not None:
                gradient *= weights[part, None].to(dtype)
            own = columns[pairs] - part.start
            # The pairs' part is added while the block is at hand: one array [l, D] in all.
            add_pair_products(gradient[:, :-1], own, queries, rows[pairs], grad_products[pairs])
            grad_labels[part], grad_offsets[part] = gradient[:, :-1], gradient[:, -1]
        return grad_labels, grad_offsets, None, grad_queries, None, None, None


def _moments(labels: Tensor, offsets: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    size = labels.shape[1] + 1
    total = labels.new_tensor(len(labels), dtype=torch.float64) if weights is None else weights.sum()
    # Two passes, first the mean and then the scatter about it: see label_moments.
    mean = labels.new_zeros(size, dtype=torch.float64)
    for part in _blocks(labels):
        mean += _sum(labels[part], offsets[part], None if weights is None else weights[part])
    mean /= total if len(labels) else 1.0
    scatter = labels.new_zeros(size, size, dtype=torch.float64)
    for part in _blocks(labels):
        centred = _centred(labels[part], offsets[part], mean)  # [n, D + 1]
        weighted = centred if weights is None else centred * weights[part, None].to(centred.dtype)
        scatter += weighted.T @ centred
    # sum_j w_j (e_j - r)(e_j - r)^T = scatter + total (mean - r)(mean - r)^T for any r.
    # So what rounding the mean added to the scatter is known.
    rounding = mean - mean.to(_product_type(labels)).double()
    scatter -= total * torch.outer(rounding, rounding)
    return total, mean, scatter


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
    # Two numbers of the same type within a factor of two of each other have an exact difference (Sterbenz),
    # so with a mean far above the spread nothing is lost here.
    torch.sub(labels, mean[:-1], out=centred[:, :-1])
    torch.sub(offsets.to(dtype), mean[-1], out=centred[:, -1])
    return centred


def _blocks(labels: Tensor) -> Iterator[slice]:
    size = max(1, BLOCK_ELEMENTS // (labels.shape[1] + 1))
    return (slice(start, start + size) for start in range(0, len(labels), size))


def _blocks_with_pairs(labels: Tensor, columns: Tensor) -> Iterator[tuple[slice, slice]]:
    """Blocks of labels, and where the pairs of each lie in the ascending ``columns``."""
    blocks = list(_blocks(labels))
    starts = torch.tensor([block.start for block in blocks] + [len(labels)], device=columns.device)
    bounds = torch.searchsorted(columns.contiguous(), starts).tolist()
    return zip(blocks, (slice(*pair) for pair in pairwise(bounds)), strict=True)
