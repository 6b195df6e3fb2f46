from __future__ import annotations

import pytest
import torch

from tests.distributed.ranks import Ranks
from xmc.distributed import World, current_world, exchange_rows, gather_rows_to_main
from xmc.errors import ConfigError


def exchange(num_rows: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """A value names its rank and row; what comes back, and a gather of this rank's first column."""
    world = current_world()
    values = torch.stack([torch.full((num_rows,), world.rank), torch.arange(num_rows)], 1)
    received = exchange_rows(values, world)
    start, stop = world.shard(num_rows)
    return received, gather_rows_to_main(torch.arange(start, stop), num_rows, world)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("num_rows", [0, 1, 7, 9])
def test_every_rank_gets_all_ranks_values_of_its_rows(ranks: Ranks, size: int, num_rows: int) -> None:
    answers = ranks.run(exchange, num_rows, size=size)
    for rank, (received, gathered) in enumerate(answers):
        start, stop = World(rank, size).shard(num_rows)
        assert received.shape == (size, stop - start, 2)
        for sender in range(size):
            assert received[sender].tolist() == [[sender, row] for row in range(start, stop)]
        assert (gathered is None) == (rank > 0)
    assert answers[0][1].tolist() == list(range(num_rows))


def test_another_shard_is_refused() -> None:
    with pytest.raises(ConfigError, match="rows 0:3 of 3, got 2"):
        gather_rows_to_main(torch.zeros(2), 3, World())
