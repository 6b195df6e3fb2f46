from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmc.scoring.fused.pair_tiles import pair_tiles


@settings(deadline=None)
@given(
    num_rows=st.integers(0, 40),
    num_labels=st.integers(0, 40),
    block_rows=st.sampled_from([1, 4, 16]),
    block_labels=st.sampled_from([2, 8]),
    seed=st.integers(0, 100),
)
def test_every_pair_is_in_its_tile_and_in_no_other(
    num_rows: int, num_labels: int, block_rows: int, block_labels: int, seed: int
) -> None:
    mask = torch.rand(num_rows, num_labels, generator=torch.Generator().manual_seed(seed)) < 0.2
    rows, columns = mask.nonzero(as_tuple=True)
    num_blocks, num_tiles = -(-num_rows // block_rows), -(-num_labels // block_labels)
    sizes = {"block_rows": block_rows, "block_labels": block_labels}
    found = pair_tiles(rows, columns, num_blocks=num_blocks, num_tiles=num_tiles, **sizes)
    assert found.rows.dtype == found.columns.dtype == found.starts.dtype == torch.int32
    assert len(found.starts) == num_blocks * num_tiles + 1
    again = torch.zeros_like(mask)
    for number in range(num_blocks * num_tiles):
        block, tile = divmod(number, num_tiles)
        for pair in range(found.starts[number], found.starts[number + 1]):
            row, column = int(found.rows[pair]), int(found.columns[pair])
            assert (row // block_rows, column // block_labels) == (block, tile)
            assert not again[row, column]
            again[row, column] = True
    assert torch.equal(again, mask)
