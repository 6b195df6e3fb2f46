"""What every rule of rows ends in: a part of a table goes down by multiples of its gradients, in place."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import torch
from torch import Tensor

from xmc.training.learned.optimisers.stochastic_rounding import StochasticRounding

__all__ = ["GPU_ROWS", "subtract_rows_"]

GPU_ROWS = 1 << 16
"""Rows that a GPU changes at once: few launches, and what is gathered of a large table stays bounded."""

# Rows that are worth a thread of their own, on a CPU.
_ROWS_A_THREAD = 512


def subtract_rows_(
    table: Tensor,
    rows: Tensor,
    factors: Tensor,
    gradient: Tensor,
    rounding: StochasticRounding | None = None,
) -> None:
    """``table[rows] -= factors[:, None] * gradient``, in place and without a copy of its size.

    Args:
        table: [R, D].
        rows: [u] int64, distinct.
        factors: [u].
        gradient: [u, D].
        rounding: How a table of bfloat16 is changed.
    """
    if rounding is not None:
        return rounding.subtract_(table, rows, factors, gradient)
    by_device = _subtract_product_ if table.device.type == "cpu" else _subtract_blocks_
    by_device(table, rows, factors.to(gradient.dtype), gradient)


def _subtract_product_(table: Tensor, rows: Tensor, factors: Tensor, gradient: Tensor) -> None:
    """By a product with the sparse matrix [R, u] of the factors, which torch adds to the table in place.

    It takes one row after the other, which is read and written once; with rows that are gathered, changed
    and scattered again it takes twice the time, and gives the same bits. As it works in one thread, each of
    torch's takes a part of the rows.
    """
    size = -(-len(rows) // torch.get_num_threads())
    if size == len(rows) or size < _ROWS_A_THREAD:
        return _add_product_(table, rows, factors, gradient)
    parts = [x.split(size) for x in (rows, factors, gradient)]
    list(_threads(torch.get_num_threads()).map(partial(_add_product_, table), *parts))


def _add_product_(table: Tensor, rows: Tensor, factors: Tensor, gradient: Tensor) -> None:
    place = torch.stack([rows, torch.arange(len(rows))])
    size = len(table), len(rows)
    table.addmm_(
        torch.sparse_coo_tensor(place, -factors, size, is_coalesced=True, check_invariants=False), gradient
    )


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, "xmc-rows")


if hasattr(os, "register_at_fork"):
    # A forked process has the pool, but none of its threads.
    os.register_at_fork(after_in_child=_threads.cache_clear)


def _subtract_blocks_(table: Tensor, rows: Tensor, factors: Tensor, gradient: Tensor) -> None:
    """By gathered rows: on a GPU a product would go over the whole table."""
    parts = zip(*(x.split(GPU_ROWS) for x in (rows, factors[:, None], gradient)), strict=True)
    for chosen, by, values in parts:
        table.index_copy_(0, chosen, table.index_select(0, chosen).addcmul_(by, values, value=-1))
