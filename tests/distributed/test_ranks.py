"""The helper itself: a rank that fails or hangs must fail the test, not hide or hang it."""

from __future__ import annotations

import time

import pytest

from tests.distributed.ranks import Ranks, run_on_ranks
from xmc.distributed import current_world


def fail_on_the_last_rank() -> int:
    world = current_world()
    if world.rank == world.size - 1:
        raise ValueError("no luck")
    return world.rank


def test_a_rank_that_raises_fails_the_run_and_the_processes_live_on(ranks: Ranks) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)rank 1 of 2.*no luck"):
        ranks.run(fail_on_the_last_rank, size=2)
    assert [world.rank for world in ranks.run(current_world, size=2)] == [0, 1]


def test_a_rank_that_hangs_ends_in_time() -> None:
    with pytest.raises(TimeoutError, match="rank 0 did not answer"):
        run_on_ranks(time.sleep, 1, 600, seconds=0.5)
