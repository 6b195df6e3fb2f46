"""Running moments against moments computed anew, alone and over ranks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.distributed.ranks import Ranks
from xmc.distributed import World, current_world
from xmc.errors import ConfigError
from xmc.objectives.statistics.label_moments import label_moments
from xmc.scoring.moments import LabelMoments
from xmc.training.batches import LabelMemory, MemoryConfig
from xmc.training.batches.memory.running_moments import RunningMoments

L, D = 57, 6


def vectors(seed: int, count: int = L) -> torch.Tensor:
    return 1.0 + torch.randn(count, D, generator=torch.Generator().manual_seed(seed))


def assert_equal(found: LabelMoments, labels: torch.Tensor, tolerance: float = 2e-5) -> None:
    for mine, theirs in zip(found, label_moments(labels, None, None), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)


def remembered(world: World) -> tuple[LabelMoments, LabelMoments]:
    """Of all labels outside a pool, after three writes, and after 300 more of the same labels."""
    memory = LabelMemory(MemoryConfig(True, "float32"), L, D, world=world, keeps_moments=True)
    memory.write(np.arange(L), vectors(0), 0)
    memory.write(np.array([3, 20, 41, 56]), vectors(1, 4), 1)
    first = memory.outside(np.array([0, 19, 20, 56]))
    for turn in range(300):
        memory.write(memory.turn(turn, 5), vectors(turn, 5), turn)
    memory.write(np.arange(L), vectors(2), 301)
    return first, memory.outside(np.empty(0, dtype=np.int64))


def expected() -> tuple[torch.Tensor, torch.Tensor]:
    rows = vectors(0)
    rows[[3, 20, 41, 56]] = vectors(1, 4)
    kept = torch.ones(L, dtype=torch.bool)
    kept[[0, 19, 20, 56]] = False
    return rows[kept], vectors(2)


def test_written_labels_are_replaced_and_the_pool_is_left_out() -> None:
    for found, labels in zip(remembered(World()), expected(), strict=True):
        assert_equal(found, labels)


def everywhere() -> tuple[LabelMoments, LabelMoments]:
    return remembered(current_world())


@pytest.mark.parametrize("size", [2, 3])
def test_every_rank_holds_those_of_all(ranks: Ranks, size: int) -> None:
    for answer in ranks.run(everywhere, size=size):
        for found, labels in zip(answer, expected(), strict=True):
            assert_equal(found, labels)


def test_half_precision_is_taken_as_it_is_kept() -> None:
    memory = LabelMemory(MemoryConfig(True, "float16"), L, D, keeps_moments=True)
    memory.write(np.arange(L), vectors(0), 0)
    memory.write(np.arange(30), vectors(1, 30), 1)
    assert_equal(memory.outside(np.empty(0, dtype=np.int64)), memory.embeddings.float())


def test_vectors_that_lie_close_together_keep_their_scatter() -> None:
    """Of unit vectors of cosine 0.98 a scatter about the origin, in float32, would be off by percents."""
    generator = torch.Generator().manual_seed(0)
    close = torch.nn.functional.normalize(4 + torch.randn(20_000, 16, generator=generator) * 0.6, dim=1)
    memory = LabelMemory(MemoryConfig(True, "float32"), len(close), 16, keeps_moments=True)
    memory.write(np.arange(len(close)), close, 0)
    for turn in range(200):
        ids = memory.turn(turn, 300)
        memory.write(ids, close[ids[::-1].copy()], turn)
    found = memory.outside(np.empty(0, dtype=np.int64)).scatter
    exact = torch.from_numpy(np.cov(memory.embeddings.double().numpy().T, bias=True) * len(close))
    assert float((found[:-1, :-1] - exact).norm() / exact.norm()) < 1e-6


def test_nothing_left_has_no_moments() -> None:
    memory = LabelMemory(MemoryConfig(True, "float32"), L, D, keeps_moments=True)
    memory.write(np.arange(L), vectors(0), 0)
    empty = memory.outside(np.arange(L))
    assert float(empty.total) == 0 and not empty.scatter.any() and not empty.mean.any()


def test_merged_sets_have_the_moments_of_the_union() -> None:
    first, second = vectors(0, 9), vectors(1, 4) * 3
    merged = label_moments(first, None, None).merged(label_moments(second, None, None))
    assert_equal(merged, torch.cat([first, second]))


def test_a_memory_says_what_it_lacks() -> None:
    memory = LabelMemory(MemoryConfig(True), L, D)
    with pytest.raises(ConfigError, match="57 were never written"):
        memory.outside(np.arange(3))
    memory.write(np.arange(L), vectors(0), 0)
    with pytest.raises(ConfigError, match="keeps moments"):
        memory.outside(np.arange(3))


def test_moments_counted_anew_are_those_kept() -> None:
    memory = LabelMemory(MemoryConfig(True, "float16"), L, D, keeps_moments=True)
    memory.write(np.arange(L), vectors(0), 0)
    memory.write(np.arange(9), vectors(5, 9), 1)
    kept = memory.outside(np.arange(3))
    memory.count_moments()
    assert_equal(memory.outside(np.arange(3)), memory.embeddings[3:].float())
    for mine, theirs in zip(memory.outside(np.arange(3)), kept, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def test_a_checkpoint_goes_on_bit_for_bit() -> None:
    one, other = RunningMoments(D), RunningMoments(D)
    one.replace(vectors(0, 0), vectors(0), World())
    other.load_tensors({name: tensor.clone() for name, tensor in one.tensors().items()})
    for moments in (one, other):
        moments.replace(vectors(0)[:5], vectors(3, 5), World())
    assert all(torch.equal(a, other.tensors()[name]) for name, a in one.tensors().items())
