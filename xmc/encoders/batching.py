"""Ragged token arrays (flat ids and offsets) and the micro-batches they are encoded in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np

__all__ = ["flatten_tokens", "gather_rows", "pack_by_length"]


def flatten_tokens(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Token lists of N texts as flat ids (int32 [t]) and offsets (int64 [N + 1]).

    Row ``i`` is ``ids[offsets[i]:offsets[i + 1]]``.
    """
    lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    ids = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(offsets[-1]))
    return ids, offsets


def gather_rows(ids: np.ndarray, offsets: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The token lists of ``rows`` (int [n]), in that order, as flat ids [t] and offsets (int64 [n + 1]).

    Consecutive rows come back as a view of ``ids`` without a copy.
    """
    lengths = offsets[rows + 1] - offsets[rows]
    gathered = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all()):
        return ids[offsets[rows[0]] : offsets[rows[-1] + 1]], gathered
    shift = np.repeat(offsets[rows] - gathered[:-1], lengths)
    return ids[shift + np.arange(gathered[-1])], gathered


def pack_by_length(lengths: np.ndarray, max_tokens: int, padded: bool) -> list[np.ndarray]:
    """Split N rows into micro-batches of at most ``max_tokens`` tokens; a longer row is a batch by itself.

    Args:
        lengths: Tokens of each row, int [N]; an empty row counts as one token.
        max_tokens: Most tokens of a micro-batch, padding included.
        padded: True when a batch costs rows x its longest row: rows are then sorted by length, longest first.
            False when it costs its total of tokens: rows then keep their order, which spares a copy.

    Returns:
        Row positions of each micro-batch, int64; together every row once.

    Raises:
        ValueError: When ``max_tokens`` is not positive.
    """
    if max_tokens < 1:
        raise ValueError(f"expected max_tokens to be at least 1, got {max_tokens}")
    cost = np.maximum(np.asarray(lengths, dtype=np.int64), 1)
    if padded:
        order = np.argsort(-cost, kind="stable")
        return _cut(order, lambda start: max_tokens // int(cost[order[start]]))
    total = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(cost)])
    return _cut(
        np.arange(len(cost)),
        lambda start: int(np.searchsorted(total, total[start] + max_tokens, side="right")) - 1 - start,
    )


def _cut(order: np.ndarray, count_from: Callable[[int], int]) -> list[np.ndarray]:
    batches, start = [], 0
    while start < len(order):
        stop = start + max(1, count_from(start))
        batches.append(order[start:stop])
        start = stop
    return batches
