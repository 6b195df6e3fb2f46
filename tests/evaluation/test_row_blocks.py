from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xmc.evaluation.row_blocks import row_blocks


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 5), st.integers(1, 12))
def test_blocks_cover_all_rows_in_order_and_are_small(counts, max_rows, max_pairs):
    indptr = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    blocks = list(row_blocks(indptr, max_rows, max_pairs))
    assert [row for block in blocks for row in range(block.start, block.stop)] == list(range(len(counts)))
    for block in blocks:
        assert 1 <= block.stop - block.start <= max_rows
        assert block.stop - block.start == 1 or indptr[block.stop] - indptr[block.start] <= max_pairs
