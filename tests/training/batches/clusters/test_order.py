from __future__ import annotations

import numpy as np
import pytest

from xmc.training.batches import balanced_order

pytest.importorskip("faiss")


def blobs(count: int, size: int, dimension: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """``count`` far apart groups of ``size`` points, shuffled, and which group each is of."""
    generator = np.random.default_rng(0)
    group = generator.permutation(np.repeat(np.arange(count), size))
    centres = generator.normal(size=(count, dimension)) * 20
    return (centres[group] + generator.normal(size=(len(group), dimension))).astype(np.float32), group


@pytest.mark.parametrize(("count", "leaf"), [(1, 4), (5, 4), (7, 2), (64, 8), (100, 8), (333, 16)])
def test_every_position_once(count: int, leaf: int) -> None:
    points = np.random.default_rng(1).normal(size=(count, 5)).astype(np.float32)
    assert sorted(balanced_order(points, leaf, 0).tolist()) == list(range(count))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_runs_are_the_groups(dtype: type) -> None:
    points, group = blobs(16, 8)
    pure = []
    for seed in range(32):
        runs = group[balanced_order(points.astype(dtype), 8, seed)].reshape(16, 8)
        pure.append(sum(len(set(run.tolist())) == 1 for run in runs))
    assert max(pure) == 16 and np.mean(pure) >= 10, "balanced halves cut some groups, by chance none"
    assert min(pure) >= 4, "at random none is pure"


def test_neighbours_are_nearer_than_at_random() -> None:
    generator = np.random.default_rng(2)
    points = generator.normal(size=(1024, 6)).astype(np.float32)
    order = balanced_order(points, 4, 0)

    def spread(order: np.ndarray, size: int) -> float:
        return float(points[order].reshape(-1, size, 6).std(1).mean())

    random = generator.permutation(1024)
    assert spread(order, 4) < 0.75 * spread(random, 4)
    assert spread(order, 64) < 0.9 * spread(random, 64)
    assert spread(order, 4) < spread(order, 64)


def test_the_seed_decides_and_equal_points_do_no_harm() -> None:
    points = np.random.default_rng(3).normal(size=(5000, 4)).astype(np.float32)
    first, again, other = (balanced_order(points, 64, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert sorted(balanced_order(np.zeros((50, 4), np.float32), 8, 0).tolist()) == list(range(50))
