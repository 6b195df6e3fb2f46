from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmc.retrieval.top_k import CHUNK, merge_top_k, new_top_k, tile_top_k


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 9),
    st.sampled_from([1, 2, 3, 7, 64, 200]),
    st.sampled_from([2, 5, 1000]),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_adds_what_sorting_the_whole_tile_adds(num_rows, num_chunks, k, values, with_floor, seed):
    """Few distinct values make ties, also across chunks and at the floor."""
    generator = torch.Generator().manual_seed(seed)
    tile = torch.randint(values, (num_rows, num_chunks * CHUNK), generator=generator).float()
    tile[torch.rand(tile.shape, generator=generator) < 0.2] = -torch.inf
    peaks = tile.view(num_rows, num_chunks, CHUNK).amax(2)
    # The list so far: labels before those of the tile.
    shape = (num_rows, k)
    listed = torch.randint(values, shape, generator=generator).float().sort(1, descending=True).values
    listed = listed if with_floor else torch.full(shape, -torch.inf)
    before = torch.arange(k).expand(shape) - k
    expected = merge_top_k(torch.cat([listed, tile], 1), torch.cat([before, _columns(tile)], 1), k)

    rows, best, columns = new_top_k(tile, peaks, listed[:, -1], k)
    scores, ids = listed.clone(), before.clone()
    scores[rows], ids[rows] = merge_top_k(
        torch.cat([listed[rows], best], 1), torch.cat([before[rows], columns], 1), k
    )
    real = expected[0] > -torch.inf
    assert torch.equal(scores, expected[0])
    assert torch.equal(ids[real], expected[1][real])


def _columns(tile: torch.Tensor) -> torch.Tensor:
    return torch.arange(tile.shape[1]).expand(tile.shape)


def test_rows_that_cannot_gain_are_left_out():
    tile = torch.zeros(3, 2 * CHUNK)
    tile[1, 70] = 5.0
    peaks = tile.view(3, 2, CHUNK).amax(2)
    rows, best, columns = new_top_k(tile, peaks, torch.tensor([0.0, 0.0, 9.0]), 1)
    assert rows.tolist() == [1] and best.tolist() == [[5.0]] and columns.tolist() == [[70]]
    assert new_top_k(tile, peaks, torch.full((3,), 9.0), 1)[0].tolist() == []


@pytest.mark.parametrize("k", [1, 3])
def test_equal_peaks_go_to_the_first_chunks(k):
    tile = torch.zeros(1, 6 * CHUNK)
    tile[0, [10, 100, 200, 300]] = 1.0
    _, _, columns = new_top_k(tile, tile.view(1, 6, CHUNK).amax(2), torch.tensor([-torch.inf]), k)
    assert columns[0].tolist() == [10, 100, 200][:k]


def test_tile_top_k_with_all_minus_infinity_but_one():
    scores = torch.tensor([[-torch.inf, -torch.inf, 1.0, -torch.inf]])
    best, columns = tile_top_k(scores, 2)
    assert columns[0, 0] == 2 and best[0].tolist() == [1.0, -torch.inf]


def test_merge_orders_equal_scores_by_id_whatever_list_they_come_from():
    scores = torch.tensor([[2.0, 1.0, 2.0, 1.0]])
    ids = torch.tensor([[7, 1, 3, 0]])
    best, merged = merge_top_k(scores, ids, 3)
    assert merged.tolist() == [[3, 7, 0]] and best.tolist() == [[2.0, 2.0, 1.0]]
