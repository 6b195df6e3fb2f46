from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.distributed.ranks import Ranks
from xmc.distributed import current_world, sum_over_ranks


def summed() -> tuple[Tensor, Tensor]:
    world = current_world()
    part = torch.full((2,), float(world.rank + 1), requires_grad=True)
    total = sum_over_ranks(part * 2, world)
    total.square().sum().backward()
    return total.detach(), part.grad


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_gradient_by_a_part_is_the_gradient_by_the_sum(ranks: Ranks, size: int) -> None:
    total = 2.0 * sum(range(1, size + 1))
    for found, gradient in ranks.run(summed, size=size):
        assert found.tolist() == [total] * 2
        assert gradient.tolist() == [2 * total * 2] * 2
