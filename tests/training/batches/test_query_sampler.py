from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmc.errors import ConfigError
from xmc.training.batches.query_sampler import QuerySampler


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 5), st.booleans())
def test_each_row_at_most_once_an_epoch(num_rows: int, batch_size: int, seed: int, drop_last: bool) -> None:
    rows = np.arange(num_rows) * 3 + 1
    if drop_last and num_rows < batch_size:
        with pytest.raises(ConfigError, match="smaller batch size"):
            QuerySampler(rows, batch_size, seed, drop_last=drop_last)
        return
    sampler = QuerySampler(rows, batch_size, seed, drop_last=drop_last)
    for epoch in range(3):
        batches = [sampler.next() for _ in range(sampler.steps_per_epoch)]
        assert sampler.epoch == epoch
        drawn = np.concatenate(batches)
        assert len(set(drawn)) == len(drawn) and set(drawn) <= set(rows)
        assert len(drawn) == (num_rows // batch_size * batch_size if drop_last else num_rows)
        assert all(len(batch) == batch_size for batch in batches[: None if drop_last else -1])


def test_epochs_differ_and_the_seed_decides() -> None:
    def epochs(seed: int) -> list[list[int]]:
        sampler = QuerySampler(np.arange(64), 64, seed)
        return [sampler.next().tolist() for _ in range(3)]

    assert epochs(1) == epochs(1)
    assert epochs(1) != epochs(2)
    assert len({tuple(order) for order in epochs(1)}) == 3


def test_left_out_rows_change_from_epoch_to_epoch() -> None:
    sampler = QuerySampler(np.arange(11), 10, 0)
    left_out = {(set(range(11)) - set(sampler.next().tolist())).pop() for _ in range(30)}
    assert len(left_out) > 3


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("steps", [0, 1, 3, 4, 7])
def test_resumes_with_the_very_next_batch(steps: int, drop_last: bool) -> None:
    rows = np.arange(10, 27)
    sampler = QuerySampler(rows, 4, 7, drop_last=drop_last)
    for _ in range(steps):
        sampler.next()
    state = json.loads(json.dumps(sampler.state_dict()))
    resumed = QuerySampler(rows, 4, 7, drop_last=drop_last)
    resumed.load_state_dict(state)
    for _ in range(9):
        np.testing.assert_array_equal(resumed.next(), sampler.next())
        assert (resumed.epoch, resumed.position) == (sampler.epoch, sampler.position)


def test_state_of_another_run_is_refused() -> None:
    state = QuerySampler(np.arange(10), 2, 7).state_dict()
    with pytest.raises(ConfigError, match="seed"):
        QuerySampler(np.arange(10), 2, 8).load_state_dict(state)
    with pytest.raises(ConfigError, match="rows_fingerprint"):
        QuerySampler(np.arange(11), 2, 7).load_state_dict(state)


@pytest.mark.parametrize(("rows", "batch_size"), [([], 1), ([1], 0)])
def test_impossible_batches(rows: list[int], batch_size: int) -> None:
    with pytest.raises(ConfigError):
        QuerySampler(np.array(rows), batch_size, 0)
