from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmc.distributed import World, current_world, shard_bounds
from xmc.errors import ConfigError


@given(num_items=st.integers(0, 200), size=st.integers(1, 17))
def test_shards_are_adjacent_cover_everything_and_are_even_to_one(num_items: int, size: int) -> None:
    bounds = [shard_bounds(num_items, rank, size) for rank in range(size)]
    assert [item for start, stop in bounds for item in range(start, stop)] == list(range(num_items))
    lengths = [stop - start for start, stop in bounds]
    assert max(lengths) - min(lengths) <= 1
    assert lengths == sorted(lengths, reverse=True) == World(0, size).shard_sizes(num_items)


def test_shards_of_ten_items_on_four_ranks() -> None:
    assert [shard_bounds(10, rank, 4) for rank in range(4)] == [(0, 3), (3, 6), (6, 8), (8, 10)]


@pytest.mark.parametrize(("num_items", "rank", "size"), [(5, 2, 2), (5, -1, 2), (-1, 0, 1), (5, 0, 0)])
def test_impossible_shards_are_errors(num_items: int, rank: int, size: int) -> None:
    with pytest.raises(ConfigError, match=f"expected 0 <= rank < size.*rank={rank}, size={size}"):
        shard_bounds(num_items, rank, size)


def test_a_world_without_a_process_group_has_one_rank_that_owns_everything() -> None:
    world = current_world()
    assert world == World(0, 1)
    assert world.is_main
    assert world.shard(7) == (0, 7)
    assert not World(1, 2).is_main
    assert World(1, 2).shard(7) == (4, 7)
