from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmc.scoring.fused.row_pairs import row_pairs


@settings(deadline=None)
@given(
    num_rows=st.integers(0, 40),
    num_columns=st.integers(0, 40),
    edges=st.lists(st.integers(0, 50), max_size=4),
    seed=st.integers(0, 100),
)
def test_each_row_has_its_pairs_in_order_from_every_edge_on(
    num_rows: int, num_columns: int, edges: list[int], seed: int
) -> None:
    mask = torch.rand(num_rows, num_columns, generator=torch.Generator().manual_seed(seed)) < 0.2
    columns, rows = mask.T.nonzero(as_tuple=True)  # by column, as positives come
    found = row_pairs(rows, columns, num_rows=num_rows, num_columns=num_columns)
    firsts = found.firsts(torch.tensor(edges, dtype=torch.int64))
    assert found.columns.dtype == found.stops.dtype == firsts.dtype == torch.int32
    assert firsts.shape == (len(edges), num_rows)
    for number, edge in enumerate(edges):
        for row in range(num_rows):
            listed = found.columns[firsts[number, row] : found.stops[row]].tolist()
            assert listed == [column for column in range(edge, num_columns) if mask[row, column]]
