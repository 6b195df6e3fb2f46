"""Products of single query-label pairs, for the few labels that are a row's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from xmc.scoring.arithmetic import deterministic_index_add

__all__ = ["add_pair_products", "gathered_products", "pair_products"]

# Gathered rows held at a time: 16 MB in float32.
BLOCK_ELEMENTS = 1 << 22


def pair_products(queries: Tensor, rows: Tensor, labels: Tensor, columns: Tensor) -> Tensor:
    """``queries[rows[p]] . labels[columns[p]]`` with gradients to both.

    Args:
        queries: [B, D].
        rows: [P] int64, in ``range(B)``.
        labels: [L, D].
        columns: [P] int64, in ``range(L)``.

    Returns:
        [P] float64, accumulated in float64; memory grows with P, not with P x D.
    """
    return _PairProducts.apply(queries, rows, labels, columns)  # type: ignore[no-any-return, no-untyped-call]


def gathered_products(queries: Tensor, rows: Tensor, labels: Tensor, columns: Tensor) -> Tensor:
    """:func:`pair_products` without gradients."""
    products = queries.new_empty(len(rows), dtype=torch.float64)
    for part in _blocks(len(rows), queries.shape[1]):
        products[part] = (queries[rows[part]].double() * labels[columns[part]].double()).sum(1)
    return products


def add_pair_products(
    out: Tensor, groups: Tensor, source: Tensor, members: Tensor, weights: Tensor
) -> Tensor:
    """``out[groups[p]] += weights[p] * source[members[p]]`` in place: [n, D], for P group-member pairs."""
    for part in _blocks(len(groups), source.shape[1]):
        products = source[members[part]].to(out.dtype) * weights[part, None].to(out.dtype)
        # Labels of several rows, and rows of several labels, add up in a fixed order.
        deterministic_index_add(out, groups[part], products)
    return out


class _PairProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, rows: Tensor, labels: Tensor, columns: Tensor) -> Tensor:
        # Autograd of an indexed product would save the gathered rows [P, D]; here they are gathered again.
        ctx.save_for_backward(queries, rows, labels, columns)
        return gathered_products(queries, rows, labels, columns)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        queries, rows, labels, columns = ctx.saved_tensors
        grad_queries = grad_labels = None
        if ctx.needs_input_grad[0]:
            grad_queries = add_pair_products(_zeros(queries), rows, labels, columns, gradients[0]).to(
                queries.dtype
            )
        if ctx.needs_input_grad[2]:
            grad_labels = add_pair_products(_zeros(labels), columns, queries, rows, gradients[0]).to(
                labels.dtype
            )
        return grad_queries, None, grad_labels, None


def _zeros(like: Tensor) -> Tensor:
    """Zeros to add up in: float32 at least."""
    return torch.zeros(like.shape, device=like.device, dtype=torch.promote_types(like.dtype, torch.float32))


def _blocks(num_pairs: int, dimension: int) -> Iterator[slice]:
    size = max(1, BLOCK_ELEMENTS // max(1, dimension))
    return (slice(start, start + size) for start in range(0, num_pairs, size))
