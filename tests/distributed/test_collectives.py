from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.distributed.ranks import Ranks
from xmc.distributed import (
    World,
    all_gather_rows,
    all_reduce_max,
    all_reduce_sum,
    current_world,
    sum_gradients,
)
from xmc.errors import ConfigError

ROWS = (0, 1, 3, 7, 8)


def gathered_rows(num_rows: int) -> tuple[World, Tensor, Tensor, Tensor]:
    """The world, what was gathered, this rank's weights, and the gradient of the sum of their product."""
    world = current_world()
    start, stop = world.shard(num_rows)
    local = torch.arange(num_rows * 2.0).view(num_rows, 2)[start:stop].clone().requires_grad_()
    weights = torch.arange(num_rows * 2.0).view(num_rows, 2) + 100 * world.rank
    gathered = all_gather_rows(local, num_rows, world)
    (gathered * weights).sum().backward()
    assert local.grad is not None
    return world, gathered.detach(), weights, local.grad


def gathered_for_many_counts() -> list[tuple[World, Tensor, Tensor, Tensor]]:
    return [gathered_rows(num_rows) for num_rows in ROWS]


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_gathered_rows_are_in_order_and_their_gradients_are_summed_over_ranks(
    ranks: Ranks, size: int
) -> None:
    answers = ranks.run(gathered_for_many_counts, size=size)
    for case, num_rows in enumerate(ROWS):
        everything = torch.arange(num_rows * 2.0).view(num_rows, 2)
        summed = sum(answer[case][2] for answer in answers)
        for rank, answer in enumerate(answers):
            world, gathered, _, gradient = answer[case]
            assert world == World(rank, size)
            torch.testing.assert_close(gathered, everything, rtol=0, atol=0)
            start, stop = world.shard(num_rows)
            torch.testing.assert_close(gradient, summed[start:stop], rtol=0, atol=0)


def reduced() -> tuple[Tensor, Tensor, bool]:
    world = current_world()
    tensor = torch.tensor([float(world.rank), -float(world.rank)])
    return (
        all_reduce_sum(tensor.clone(), world),
        all_reduce_max(tensor, world),
        bool(tensor[0] == world.size - 1),
    )


def test_reductions_sum_and_maximise_over_ranks_in_place(ranks: Ranks) -> None:
    for total, highest, in_place in ranks.run(reduced, size=3):
        assert total.tolist() == [3.0, -3.0]
        assert highest.tolist() == [2.0, 0.0]
        assert in_place


class Weights(nn.Module):
    """Parameters that ranks touch unevenly, of two types, one of them frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.everywhere = nn.Parameter(torch.ones(2, 3))
        self.on_rank_0 = nn.Parameter(torch.ones(4))
        self.nowhere = nn.Parameter(torch.ones(1))
        self.wide = nn.Parameter(torch.ones(2, dtype=torch.float64))
        self.frozen = nn.Parameter(torch.ones(5), requires_grad=False)


def summed_gradients() -> dict[str, Tensor | None]:
    world, weights = current_world(), Weights()
    loss = (world.rank + 1) * weights.everywhere.sum() + weights.wide.sum() * 10
    if world.rank == 0:
        loss = loss + 7 * weights.on_rank_0.sum()
    loss.backward()
    sum_gradients(weights.parameters(), world)
    return {name: parameter.grad for name, parameter in weights.named_parameters()}


@pytest.mark.parametrize("size", [1, 3])
def test_gradients_are_summed_and_untouched_parameters_count_as_zero(ranks: Ranks, size: int) -> None:
    for gradients in ranks.run(summed_gradients, size=size):
        assert gradients["everywhere"].tolist() == [[size * (size + 1) / 2] * 3] * 2
        assert gradients["on_rank_0"].tolist() == [7.0] * 4
        assert gradients["wide"].tolist() == [10.0 * size] * 2
        assert gradients["wide"].dtype == torch.float64
        assert gradients["frozen"] is None
        assert (gradients["nowhere"] is None) if size == 1 else gradients["nowhere"].tolist() == [0.0]


def test_rows_that_are_no_shard_are_an_error_before_anything_is_sent() -> None:
    with pytest.raises(ConfigError, match="expected the 4 rows 0:4 of 7 on rank 0 of 2, got 3 rows"):
        all_gather_rows(torch.zeros(3, 2), 7, World(0, 2))
    with pytest.raises(ConfigError, match="expected the 7 rows"):
        all_gather_rows(torch.zeros(3, 2), 7, World())
