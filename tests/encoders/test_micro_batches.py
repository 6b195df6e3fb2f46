from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmc.encoders.micro_batches import flatten_tokens, gather_rows, pack_by_length

token_lists = st.lists(st.lists(st.integers(0, 99), max_size=6), min_size=1, max_size=12)


@given(token_lists, st.data())
def test_gather_rows_is_indexing(rows: list[list[int]], data: st.DataObject) -> None:
    ids, offsets = flatten_tokens(rows)
    assert ids.dtype == np.int32 and offsets.dtype == np.int64
    wanted = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=9)), dtype=np.int64)
    flat, bounds = gather_rows(ids, offsets, wanted)
    assert [flat[a:b].tolist() for a, b in zip(bounds[:-1], bounds[1:], strict=True)] == [
        rows[i] for i in wanted
    ]


def test_gather_of_consecutive_rows_does_not_copy() -> None:
    ids, offsets = flatten_tokens([[1], [2, 3], [4]])
    assert np.shares_memory(gather_rows(ids, offsets, np.array([1, 2]))[0], ids)


@given(st.lists(st.integers(0, 20), max_size=40), st.integers(1, 50), st.booleans())
def test_pack_holds_every_row_once_within_the_limit(lengths: list[int], limit: int, padded: bool) -> None:
    batches = pack_by_length(np.array(lengths, dtype=np.int64), limit, padded)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        cost = [max(1, lengths[row]) for row in batch]
        assert len(batch) == 1 or (len(batch) * max(cost) if padded else sum(cost)) <= limit


def test_pack_puts_the_longest_together_when_padded_and_keeps_the_order_when_not() -> None:
    lengths = np.array([1, 9, 2, 8])
    assert [batch.tolist() for batch in pack_by_length(lengths, 18, True)] == [[1, 3], [2, 0]]
    assert [batch.tolist() for batch in pack_by_length(lengths, 12, False)] == [[0, 1, 2], [3]]


def test_pack_refuses_an_empty_budget() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        pack_by_length(np.array([1]), 0, True)
