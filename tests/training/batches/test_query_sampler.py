from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmc.errors import ConfigError
from xmc.training.batches.query_sampler import QuerySampler, equal_batches


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 5))
def test_each_row_at_most_once_an_epoch_and_once_in_two(num_rows: int, largest: int, seed: int) -> None:
    rows = np.arange(num_rows) * 3 + 1
    sampler = QuerySampler(rows, largest, seed)
    epochs: list[set[int]] = []
    for epoch in range(5):
        batches = [sampler.next() for _ in range(sampler.steps_per_epoch)]
        assert sampler.epoch == epoch
        drawn = np.concatenate(batches)
        assert len(set(drawn)) == len(drawn) and set(drawn) <= set(rows)
        assert {len(batch) for batch in batches} == {sampler.batch_size}
        left = set(rows) - set(drawn)
        assert len(left) < largest
        if epochs:
            assert set(rows) - epochs[-1] <= set(batches[0]), "who sat out comes first"
        epochs.append(set(drawn))
    assert all(first | second == set(rows) for first, second in pairwise(epochs))


@pytest.mark.parametrize(
    ("num_rows", "largest", "multiple", "number", "size"),
    [
        (3913, 512, 1, 8, 489),  # one row left over in place of 329
        (3413, 512, 1, 7, 487),
        (514, 512, 1, 1, 512),  # two rows are not worth batches of half the size
        (300, 512, 1, 1, 300),
        (1_000_003, 8, 1, 125_000, 8),  # spread over 125,001 batches they would be of 7
        (299, 4, 1, 74, 4),
        (3413, 512, 64, 7, 448),  # 7 batches of 7 clusters leave 4 clusters over, 6 of 8 leave 5
        (120, 64, 8, 2, 56),
    ],
)
def test_equal_batches(num_rows: int, largest: int, multiple: int, number: int, size: int) -> None:
    assert equal_batches(num_rows, largest, multiple) == (number, size)


@given(st.integers(1, 3000), st.integers(1, 600), st.sampled_from([1, 2, 8]))
def test_less_than_a_batch_is_left_over(num_rows: int, largest: int, multiple: int) -> None:
    num_rows, largest = max(num_rows, multiple), largest * multiple
    number, size = equal_batches(num_rows, largest, multiple)
    left = num_rows - number * size
    assert size % multiple == 0 and size <= largest
    assert 0 <= left < largest and 2 * left < num_rows


def test_all_rows_sit_out_equally_often() -> None:
    sampler = QuerySampler(np.arange(11), 10, 0)
    assert (sampler.steps_per_epoch, sampler.batch_size) == (1, 10)
    left_out = [(set(range(11)) - set(sampler.next().tolist())).pop() for _ in range(22)]
    assert sorted(left_out[:11]) == sorted(left_out[11:]) == list(range(11))


def test_epochs_differ_and_the_seed_decides() -> None:
    def epochs(seed: int) -> list[list[int]]:
        sampler = QuerySampler(np.arange(64), 64, seed)
        return [sampler.next().tolist() for _ in range(3)]

    assert epochs(1) == epochs(1)
    assert epochs(1) != epochs(2)
    assert len({tuple(order) for order in epochs(1)}) == 3


@pytest.mark.parametrize("steps", [0, 1, 3, 4, 7])
def test_resumes_with_the_very_next_batch(steps: int) -> None:
    rows = np.arange(10, 27)
    sampler = QuerySampler(rows, 4, 7)
    for _ in range(steps):
        sampler.next()
    state = json.loads(json.dumps(sampler.state_dict()))
    resumed = QuerySampler(rows, 4, 7)
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
