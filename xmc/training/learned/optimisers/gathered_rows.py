"""Gradients of rows that come from several passes or ranks, brought together."""

from __future__ import annotations

import torch
from torch import Tensor

from xmc.distributed import World, all_reduce_max, all_reduce_sum

__all__ = ["distinct_rows", "rows_over_ranks"]


def rows_over_ranks(
    own: tuple[Tensor, Tensor] | None, table: Tensor, world: World
) -> tuple[Tensor, Tensor] | None:
    """Distinct rows int64 [u] that any rank touched, ascending, and the sums of their gradients [u, D].

    Ranks touch different rows. One all-reduce of a byte a row says which any of them has, and one of [u, D]
    adds up the gradients of those.

    Args:
        own: The same of this rank, where it touched any.
        table: [R, D], of whose rows they are.
        world: The ranks, which all call it.
    """
    touched = torch.zeros(len(table), dtype=torch.uint8, device=table.device)
    if own is not None:
        touched[own[0]] = 1
    rows = all_reduce_max(touched, world).nonzero().flatten()
    if len(rows) == 0:
        return None
    total = torch.zeros(len(rows), table.shape[1], device=table.device)
    if own is not None:
        total[torch.searchsorted(rows, own[0])] = own[1]
    return rows, all_reduce_sum(total, world)


def distinct_rows(rows: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct ones of ``rows`` int64 [n], ascending [u], and the sums of their ``gradient`` [n, D]."""
    if bool((rows.diff() > 0).all()):
        return rows, gradient
    distinct, place = torch.unique(rows, return_inverse=True)
    return distinct, gradient.new_zeros(len(distinct), gradient.shape[1]).index_add_(0, place, gradient)
