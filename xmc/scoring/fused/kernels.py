"""The two Triton kernels: fold score tiles into row states, and write the slopes of a slab of labels.

A score lives in registers only. Which statistic is served is decided by the Triton functions passed in.
Nothing is added by atomics: every program owns what it writes.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["INTERPRETED", "fold_kernel", "slope_kernel"]

_NO_COLUMN = tl.constexpr(2**31 - 1)
"""Of a row without a further listed pair: beyond every label."""


@triton.jit
def _begin(
    columns: tl.tensor,
    firsts: tl.tensor,
    stops: tl.tensor,
    part: tl.tensor,
    rows: tl.tensor,
    inside: tl.tensor,
    num_rows: tl.tensor,
) -> tl.tensor:
    """Of each row [M]: where its first listed pair of the part is, where its list ends, and its column."""
    place = tl.load(firsts + part * num_rows + rows, mask=inside, other=0)
    stop = tl.load(stops + rows, mask=inside, other=0)
    return place, stop, tl.load(columns + place, mask=place < stop, other=_NO_COLUMN)


@triton.jit
def _mark(
    values: tl.tensor,
    value: tl.constexpr,
    columns: tl.tensor,
    end: tl.tensor,
    list_columns: tl.tensor,
    place: tl.tensor,
    stop: tl.tensor,
    upcoming: tl.tensor,
) -> tl.tensor:
    """``values`` [M, N] with ``value`` at listed pairs of these columns, and each row's next pair.

    A row's pairs ascend, so each is looked at once, with one of every other row that has one here.
    """
    while tl.min(upcoming, 0) < end:
        values = tl.where(columns[None, :] == upcoming[:, None], value, values)
        passed = upcoming < end
        place += passed.to(tl.int32)
        # Only where one was passed is there anything to load.
        later = tl.load(list_columns + place, mask=passed & (place < stop), other=_NO_COLUMN)
        upcoming = tl.where(passed, later, upcoming)
    return values, place, upcoming


@triton.jit
def _scores(
    queries: tl.tensor,
    labels: tl.tensor,
    scale: tl.tensor,
    offsets: tl.tensor,
    log_weights: tl.tensor,
    first_row: tl.tensor,
    first_column: tl.tensor,
    num_rows: tl.tensor,
    num_labels: tl.tensor,
    query_stride: tl.tensor,
    label_stride: tl.tensor,
    DIMENSION: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
    DTYPE: tl.constexpr,
    PRECISION: tl.constexpr,
    DESCRIBED: tl.constexpr,
) -> tl.tensor:
    """Scores [M, N] and log weights [N] of a tile; -inf beyond the last label."""
    columns = first_column + tl.arange(0, N)
    inside = columns < num_labels
    products = tl.full([M, N], 0.0, tl.float32)
    # K components at a time: a tile's operands pass through shared memory, its products stay in registers.
    if DESCRIBED:
        # The copy engine of generation 9 moves whole tiles, with zeros beyond the edges: threads hold no
        # addresses, so that two programs fit a processor and one's products hide the other's exponentials.
        for first in range(0, DIMENSION, K):
            left, right = queries.load([first_row, first]), labels.load([first_column, first])
            products = tl.dot(left.to(DTYPE), tl.trans(right.to(DTYPE)), products, input_precision=PRECISION)
    else:
        rows = first_row + tl.arange(0, M)
        row_inside, column_inside = (rows < num_rows)[:, None], inside[:, None]
        # 64 bits: 3 million labels of 768 numbers are more than 2^31.
        row_start = queries + rows.to(tl.int64)[:, None] * query_stride
        column_start = labels + columns.to(tl.int64)[:, None] * label_stride
        for first in range(0, DIMENSION, K):
            depth = first + tl.arange(0, K)[None, :]
            row_known, column_known = row_inside, column_inside
            if DIMENSION % K != 0:
                known = depth < DIMENSION
                row_known, column_known = row_inside & known, column_inside & known
            left = tl.load(row_start + depth, mask=row_known, other=0.0)
            right = tl.load(column_start + depth, mask=column_known, other=0.0)
            products = tl.dot(left.to(DTYPE), tl.trans(right.to(DTYPE)), products, input_precision=PRECISION)
    scores = products * tl.load(scale)
    if offsets is not None:
        scores += tl.load(offsets + columns, mask=inside, other=0.0)[None, :]
    # -inf beyond the last label, so that a fold needs no mask: exp and softplus make 0 of it.
    scores = tl.where(inside[None, :], scores, float("-inf"))
    if log_weights is not None:
        weights = tl.load(log_weights + columns, mask=inside, other=float("-inf"))
    else:
        weights = tl.where(inside, 0.0, float("-inf"))
    return scores, weights


@triton.jit(do_not_specialize=["num_tiles", "tiles_per_part"])
def fold_kernel(
    queries: tl.tensor,
    labels: tl.tensor,
    scale: tl.tensor,
    offsets: tl.tensor,
    log_weights: tl.tensor,
    own_columns: tl.tensor,
    own_firsts: tl.tensor,
    own_stops: tl.tensor,
    left_columns: tl.tensor,
    left_firsts: tl.tensor,
    left_stops: tl.tensor,
    row_first: tl.tensor,
    row_second: tl.tensor,
    constant: tl.tensor,
    out: tl.tensor,
    num_rows: tl.tensor,
    num_labels: tl.tensor,
    query_stride: tl.tensor,
    label_stride: tl.tensor,
    num_tiles: tl.tensor,
    tiles_per_part: tl.tensor,
    START: tl.constexpr,
    ADD: tl.constexpr,
    STORE: tl.constexpr,
    COLUMNS: tl.constexpr,
    DIMENSION: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
    DTYPE: tl.constexpr,
    PRECISION: tl.constexpr,
    DESCRIBED: tl.constexpr,
) -> None:
    """Program (b, p) folds row block b's scores of part p of the labels: ``out`` [parts, COLUMNS, B]."""
    # A program owns its rows and its part of the labels; parts are merged by torch in a fixed order. Adding
    # to shared row states by atomics would make the order, and the rounding, a matter of chance.
    block, part = tl.program_id(0), tl.program_id(1)
    rows = block * M + tl.arange(0, M)
    inside = rows < num_rows
    first = tl.load(row_first + rows, mask=inside, other=0.0)
    second = tl.load(row_second + rows, mask=inside, other=1.0)
    if left_columns is not None:
        left_place, left_stop, left_next = _begin(
            left_columns, left_firsts, left_stops, part, rows, inside, num_rows
        )
    if own_columns is not None:
        own_place, own_stop, own_next = _begin(
            own_columns, own_firsts, own_stops, part, rows, inside, num_rows
        )
    state = START(M)
    for tile in range(part * tiles_per_part, tl.minimum((part + 1) * tiles_per_part, num_tiles)):
        scores, weights = _scores(
            queries, labels, scale, offsets, log_weights, block * M, tile * N, num_rows, num_labels,
            query_stride, label_stride, DIMENSION, M, N, K, DTYPE, PRECISION, DESCRIBED,
        )  # fmt: skip
        columns, end = tile * N + tl.arange(0, N), (tile + 1) * N
        if left_columns is not None:
            scores, left_place, left_next = _mark(
                scores, float("-inf"), columns, end, left_columns, left_place, left_stop, left_next
            )
        own = tl.full([M, N], 0, tl.int1)
        if own_columns is not None:
            own, own_place, own_next = _mark(
                own, True, columns, end, own_columns, own_place, own_stop, own_next
            )
        state = ADD(state, scores, weights, own, first, second, constant)
    STORE(out + part.to(tl.int64) * COLUMNS * num_rows, rows, inside, num_rows, state)


@triton.jit(do_not_specialize=["first_tile"])
def slope_kernel(
    queries: tl.tensor,
    labels: tl.tensor,
    scale: tl.tensor,
    offsets: tl.tensor,
    log_weights: tl.tensor,
    own_columns: tl.tensor,
    own_firsts: tl.tensor,
    own_stops: tl.tensor,
    row_first: tl.tensor,
    row_second: tl.tensor,
    constant: tl.tensor,
    out: tl.tensor,
    num_rows: tl.tensor,
    num_labels: tl.tensor,
    query_stride: tl.tensor,
    label_stride: tl.tensor,
    out_stride: tl.tensor,
    first_tile: tl.tensor,
    num_blocks: tl.tensor,
    SLOPE: tl.constexpr,
    DIMENSION: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
    DTYPE: tl.constexpr,
    PRECISION: tl.constexpr,
    DESCRIBED: tl.constexpr,
) -> None:
    """One program per tile of the slab from ``first_tile`` on: its slopes to ``out`` [B, out_stride]."""
    # Neighbouring programs share a tile of labels, and find it in the cache.
    block, tile = tl.program_id(0) % num_blocks, tl.program_id(0) // num_blocks
    rows = block * M + tl.arange(0, M)
    inside = rows < num_rows
    first = tl.load(row_first + rows, mask=inside, other=0.0)
    second = tl.load(row_second + rows, mask=inside, other=0.0)
    first_column = (first_tile + tile) * N
    scores, weights = _scores(
        queries, labels, scale, offsets, log_weights, block * M, first_column, num_rows, num_labels,
        query_stride, label_stride, DIMENSION, M, N, K, DTYPE, PRECISION, DESCRIBED,
    )  # fmt: skip
    own = tl.full([M, N], 0, tl.int1)
    if own_columns is not None:
        place, stop, upcoming = _begin(own_columns, own_firsts, own_stops, tile, rows, inside, num_rows)
        columns = first_column + tl.arange(0, N)
        own, place, upcoming = _mark(own, True, columns, first_column + N, own_columns, place, stop, upcoming)
    slope = SLOPE(scores, weights, own, first, second, constant)
    # The slab is whole tiles wide: what is beyond the last label is written, and read by nobody.
    if DESCRIBED:
        out.store([block * M, tile * N], slope.to(out.dtype))
    else:
        # 64 bits: rows times the slab's width may pass 2^31.
        pointers = out + rows.to(tl.int64)[:, None] * out_stride + (tile * N + tl.arange(0, N))[None, :]
        tl.store(pointers, slope.to(out.dtype.element_ty), mask=inside[:, None])


INTERPRETED = not isinstance(fold_kernel, triton.JITFunction)
"""Whether the kernels run in Triton's interpreter, for TRITON_INTERPRET=1 was set when this was imported."""
