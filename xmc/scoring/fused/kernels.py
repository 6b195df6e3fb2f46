"""The two Triton kernels: fold score tiles into row states, and write the slopes of a slab of labels.

A score lives in registers only. Which statistic is served is decided by the Triton functions passed in.
Nothing is added by atomics: every program owns what it writes.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["INTERPRETED", "fold_kernel", "slope_kernel"]


@triton.jit
def _listed(
    pair_rows: tl.tensor,
    pair_columns: tl.tensor,
    pair_starts: tl.tensor,
    tile: tl.tensor,
    rows: tl.tensor,
    columns: tl.tensor,
    M: tl.constexpr,
    N: tl.constexpr,
    PAIRS: tl.constexpr,
) -> tl.tensor:
    """Which elements [M, N] of a tile are listed pairs.

    A pair is the outer product of two indicators, so many pairs are one small matrix product.
    """
    # Registers have no addresses to store a mark at, so marks are computed: with indicators r [M, PAIRS] and
    # c [PAIRS, N] the product r c counts the pairs at each place.
    hits = tl.full([M, N], 0.0, tl.float32)
    stop = tl.load(pair_starts + tile + 1)
    for begin in range(tl.load(pair_starts + tile), stop, PAIRS):
        pair = begin + tl.arange(0, PAIRS)
        pair_row = tl.load(pair_rows + pair, mask=pair < stop, other=-1)
        pair_column = tl.load(pair_columns + pair, mask=pair < stop, other=-1)
        # 0 and 1 are exact in half precision, and so are sums of them in float32; a pad of -1 hits no row.
        row_hit = (rows[:, None] == pair_row[None, :]).to(tl.float16)
        column_hit = (pair_column[:, None] == columns[None, :]).to(tl.float16)
        hits = tl.dot(row_hit, column_hit, hits)
    return hits > 0.5


@triton.jit
def _score_tile(
    queries: tl.tensor,
    labels: tl.tensor,
    scale: tl.tensor,
    offsets: tl.tensor,
    log_weights: tl.tensor,
    pair_rows: tl.tensor,
    pair_columns: tl.tensor,
    pair_starts: tl.tensor,
    left_rows: tl.tensor,
    left_columns: tl.tensor,
    left_starts: tl.tensor,
    tile: tl.tensor,
    rows: tl.tensor,
    columns: tl.tensor,
    num_rows: tl.tensor,
    num_labels: tl.tensor,
    dimension: tl.tensor,
    query_stride: tl.tensor,
    label_stride: tl.tensor,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
    PAIRS: tl.constexpr,
    DTYPE: tl.constexpr,
    PRECISION: tl.constexpr,
) -> tl.tensor:
    """Scores [M, N], log weights [N] and own [M, N] of one tile; see :class:`xmc.scoring.statistic.Fold`."""
    products = tl.full([M, N], 0.0, tl.float32)
    if left_rows is not None:
        # What starts at -inf stays there, and takes no registers besides those of the products.
        absent = _listed(left_rows, left_columns, left_starts, tile, rows, columns, M, N, PAIRS)
        products = tl.where(absent, float("-inf"), products)
    row_inside, column_inside = rows < num_rows, columns < num_labels
    # 64 bits: 3 million labels of 768 numbers are more than 2^31.
    row_start = queries + rows.to(tl.int64) * query_stride
    column_start = labels + columns.to(tl.int64) * label_stride
    # K components at a time: a tile's operands pass through shared memory, its products stay in registers.
    for first in range(0, dimension, K):
        depth = first + tl.arange(0, K)
        inside = depth < dimension
        left = tl.load(
            row_start[:, None] + depth[None, :], mask=row_inside[:, None] & inside[None, :], other=0.0
        )
        right = tl.load(
            column_start[:, None] + depth[None, :], mask=column_inside[:, None] & inside[None, :], other=0.0
        )
        products = tl.dot(left.to(DTYPE), tl.trans(right.to(DTYPE)), products, input_precision=PRECISION)
    scores = products * tl.load(scale)
    if left_rows is not None:
        scores = tl.where(products == float("-inf"), float("-inf"), scores)  # the scale may be 0
    if offsets is not None:
        scores += tl.load(offsets + columns, mask=column_inside, other=0.0)[None, :]
    # -inf beyond the last label, so that a fold needs no mask: exp and softplus make 0 of it.
    scores = tl.where(column_inside[None, :], scores, float("-inf"))
    own = tl.full([M, N], False, tl.int1)
    if log_weights is not None:
        weights = tl.load(log_weights + columns, mask=column_inside, other=float("-inf"))
        if pair_rows is not None:
            own = _listed(pair_rows, pair_columns, pair_starts, tile, rows, columns, M, N, PAIRS)
    else:
        weights = tl.where(column_inside, 0.0, float("-inf"))
    return scores, weights, own


@triton.jit(do_not_specialize=["num_tiles", "tiles_per_part"])
def fold_kernel(
    queries: tl.tensor,
    labels: tl.tensor,
    scale: tl.tensor,
    offsets: tl.tensor,
    log_weights: tl.tensor,
    pair_rows: tl.tensor,
    pair_columns: tl.tensor,
    pair_starts: tl.tensor,
    left_rows: tl.tensor,
    left_columns: tl.tensor,
    left_starts: tl.tensor,
    row_first: tl.tensor,
    row_second: tl.tensor,
    constant: tl.tensor,
    out: tl.tensor,
    num_rows: tl.tensor,
    num_labels: tl.tensor,
    dimension: tl.tensor,
    query_stride: tl.tensor,
    label_stride: tl.tensor,
    num_tiles: tl.tensor,
    tiles_per_part: tl.tensor,
    START: tl.constexpr,
    ADD: tl.constexpr,
    STORE: tl.constexpr,
    COLUMNS: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
    PAIRS: tl.constexpr,
    DTYPE: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """Program (b, p) folds row block b's scores of part p of the labels: ``out`` [parts, COLUMNS, B]."""
    # A program owns its rows and its part of the labels; parts are merged by torch in a fixed order. Adding
    # to shared row states by atomics would make the order, and the rounding, a matter of chance.
    block, part = tl.program_id(0), tl.program_id(1)
    rows = block * M + tl.arange(0, M)
    inside = rows < num_rows
    first = tl.load(row_first + rows, mask=inside, other=0.0)
    second = tl.load(row_second + rows, mask=inside, other=1.0)
    state = START(M)
    for tile in range(part * tiles_per_part, tl.minimum((part + 1) * tiles_per_part, num_tiles)):
        columns = tile * N + tl.arange(0, N)
        scores, weights, own = _score_tile(
            queries, labels, scale, offsets, log_weights, pair_rows, pair_columns, pair_starts, left_rows,
            left_columns, left_starts, block * num_tiles + tile, rows, columns, num_rows, num_labels,
            dimension, query_stride, label_stride, M, N, K, PAIRS, DTYPE, PRECISION,
        )  # fmt: skip
        state = ADD(state, scores, weights, own, first, second, constant)
    STORE(out + part.to(tl.int64) * COLUMNS * num_rows, rows, inside, num_rows, state)


@triton.jit(do_not_specialize=["num_tiles", "first_tile"])
def slope_kernel(
    queries: tl.tensor,
    labels: tl.tensor,
    scale: tl.tensor,
    offsets: tl.tensor,
    log_weights: tl.tensor,
    pair_rows: tl.tensor,
    pair_columns: tl.tensor,
    pair_starts: tl.tensor,
    left_rows: tl.tensor,
    left_columns: tl.tensor,
    left_starts: tl.tensor,
    row_first: tl.tensor,
    row_second: tl.tensor,
    constant: tl.tensor,
    out: tl.tensor,
    sums: tl.tensor,
    num_rows: tl.tensor,
    num_labels: tl.tensor,
    dimension: tl.tensor,
    query_stride: tl.tensor,
    label_stride: tl.tensor,
    out_stride: tl.tensor,
    num_tiles: tl.tensor,
    first_tile: tl.tensor,
    num_blocks: tl.tensor,
    SLOPE: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
    PAIRS: tl.constexpr,
    DTYPE: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    """One program per tile of the slab from ``first_tile`` on: its slopes to ``out`` [B, out_stride].

    The sums of each row block's slopes go to ``sums`` [num_blocks, out_stride] in float32, unless it is None.
    """
    # Neighbouring programs share a tile of labels, and find it in the cache.
    block, tile = tl.program_id(0) % num_blocks, tl.program_id(0) // num_blocks
    rows = block * M + tl.arange(0, M)
    inside = rows < num_rows
    first = tl.load(row_first + rows, mask=inside, other=0.0)
    second = tl.load(row_second + rows, mask=inside, other=0.0)
    columns = (first_tile + tile) * N + tl.arange(0, N)
    scores, weights, own = _score_tile(
        queries, labels, scale, offsets, log_weights, pair_rows, pair_columns, pair_starts, left_rows,
        left_columns, left_starts, block * num_tiles + first_tile + tile, rows, columns, num_rows,
        num_labels, dimension, query_stride, label_stride, M, N, K, PAIRS, DTYPE, PRECISION,
    )  # fmt: skip
    slope = SLOPE(scores, weights, own, first, second, constant)
    place = tile * N + tl.arange(0, N)
    wanted = columns < num_labels
    # 64 bits: rows times the slab's width may pass 2^31.
    pointers = out + rows.to(tl.int64)[:, None] * out_stride + place[None, :]
    tl.store(pointers, slope.to(out.dtype.element_ty), mask=inside[:, None] & wanted[None, :])
    if sums is not None:
        total = tl.sum(tl.where(inside[:, None], slope, 0.0), 0)
        tl.store(sums + block.to(tl.int64) * out_stride + place, total, mask=wanted)


INTERPRETED = not isinstance(fold_kernel, triton.JITFunction)
"""Whether the kernels run in Triton's interpreter, for TRITON_INTERPRET=1 was set when this was imported."""
