from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmc.errors import ConfigError
from xmc.training.batches.clusters.config import ClustersConfig
from xmc.training.batches.clusters.sampler import ClusteredSampler
from xmc.training.batches.query_sampler import QuerySampler


def drive(sampler: ClusteredSampler, seed: int = 0) -> np.ndarray:
    """The next batch; where a clustering is due, one by the rows' own order, turned by the epoch."""
    if sampler.clustering_due:
        count = len(sampler._rows)
        sampler.set_order(np.roll(np.arange(count), sampler.next_epoch + seed))
    return sampler.next()


def schedule(**options: int) -> ClustersConfig:
    return ClustersConfig(**({"largest": 8, "first": 2, "start_epoch": 1} | options))


@given(st.integers(8, 60), st.integers(0, 3), st.integers(0, 3), st.integers(1, 3), st.integers(1, 3))
def test_each_row_at_most_once_an_epoch(
    num_rows: int, seed: int, start: int, double: int, refresh: int
) -> None:
    rows = np.arange(num_rows) * 3 + 1
    plan = schedule(start_epoch=start, double_every=double, refresh_every=refresh)
    sampler = ClusteredSampler(rows, 8, seed, plan)
    for epoch in range(6):
        batches = [drive(sampler) for _ in range(sampler.steps_per_epoch)]
        assert sampler.epoch == epoch
        drawn = np.concatenate(batches)
        assert len(drawn) == num_rows // 8 * 8 == len(set(drawn)) and set(drawn) <= set(rows)


def test_clusters_are_runs_of_neighbours_of_the_scheduled_size() -> None:
    rows = np.arange(32) + 100
    sampler = ClusteredSampler(rows, 8, 0, schedule())
    sizes = []
    for epoch in range(6):
        batches = [drive(sampler) for _ in range(4)]
        sizes.append(sampler.cluster_size)
        units = sampler.units()
        if sizes[-1] == 1:
            assert units is None
            continue
        assert sorted(np.bincount(units)) == [sizes[-1]] * (32 // sizes[-1])
        order = np.roll(np.arange(32), epoch)
        for unit in range(32 // sizes[-1]):
            places = np.flatnonzero(np.isin(order, np.flatnonzero(units == unit)))
            assert (np.diff(places) == 1).all(), "neighbours in the order"
            inside = [np.isin(rows[units == unit], batch) for batch in batches]
            assert sorted(part.all() for part in inside) == [False] * 3 + [True], "and in one batch"
    assert sizes == [1, 2, 4, 8, 8, 8]


def test_before_the_start_batches_are_those_of_the_plain_sampler() -> None:
    sampler = ClusteredSampler(np.arange(21), 8, 5, schedule(start_epoch=2))
    plain = QuerySampler(np.arange(21), 8, 5, multiple=8)
    for _ in range(4):
        assert not sampler.clustering_due
        np.testing.assert_array_equal(sampler.next(), plain.next())
    assert sampler.clustering_due


def test_rows_left_out_and_batches_change_from_epoch_to_epoch() -> None:
    sampler = ClusteredSampler(np.arange(11), 8, 0, schedule(first=8, start_epoch=0))
    batches = [tuple(sorted(drive(sampler).tolist())) for _ in range(30)]
    assert len(set(batches)) > 10
    assert all((sampler.units() >= 0).sum() == 8 for _ in range(1))
    assert len({row for batch in batches for row in set(range(11)) - set(batch)}) == 11


def test_clustering_is_due_as_often_as_the_schedule_says() -> None:
    sampler = ClusteredSampler(np.arange(16), 8, 0, schedule(refresh_every=3))
    due = []
    for _ in range(8 * 2):
        if sampler.clustering_due:
            due.append(sampler.next_epoch)
        drive(sampler)
    assert due == [1, 4, 7]


@pytest.mark.parametrize("steps", [0, 1, 2, 5, 6, 9, 13])
def test_resumes_with_the_very_next_batch(steps: int) -> None:
    def make() -> ClusteredSampler:
        return ClusteredSampler(np.arange(10, 37), 8, 7, schedule(refresh_every=2))

    sampler, resumed = make(), make()
    for _ in range(steps):
        drive(sampler)
    resumed.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    for _ in range(12):
        assert resumed.clustering_due == sampler.clustering_due
        np.testing.assert_array_equal(drive(resumed), drive(sampler))
        assert (resumed.epoch, resumed.position) == (sampler.epoch, sampler.position)
        first, second = resumed.units(), sampler.units()
        assert (first is None and second is None) or np.array_equal(first, second)


def test_the_seed_decides() -> None:
    def batches(seed: int) -> list[list[int]]:
        sampler = ClusteredSampler(np.arange(32), 8, seed, schedule(start_epoch=0))
        return [drive(sampler).tolist() for _ in range(8)]

    assert batches(1) == batches(1) != batches(2)


def test_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match="a divisor of the batch of 8 queries, got 3"):
        ClusteredSampler(np.arange(9), 8, 0, schedule(largest=3, first=3))
    with pytest.raises(ConfigError, match="each once"):
        ClusteredSampler(np.arange(9), 8, 0, schedule()).set_order(np.zeros(9))
    with pytest.raises(ConfigError, match="expected at least 8 training rows"):
        ClusteredSampler(np.arange(7), 8, 0, schedule())
