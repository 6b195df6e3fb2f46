from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmc.distributed import shard_bounds
from xmc.errors import ConfigError
from xmc.training.batches import stratified_inclusion, tempered_inclusion
from xmc.training.batches.pools.draws import LabelDraw, TemperedDraw, UniformDraw


def frequencies(draw: LabelDraw, steps: int) -> np.ndarray:
    total = np.zeros(len(draw.inclusion))
    for step in range(steps):
        included = np.zeros(len(draw.inclusion), dtype=bool)
        draw.add_to(included, step)
        total += included
    return total / steps


@pytest.mark.parametrize(
    "draw",
    [
        UniformDraw(23, 6, seed=1),
        UniformDraw(23, 7, strata=3, seed=1),
        UniformDraw(23, 11, strata=11, seed=1),
        TemperedDraw(np.array([0, 1, 1, 4, 9, 100, 400]), 3, 0.5, seed=1),
        TemperedDraw(np.array([0, 1, 1, 4, 9, 100, 400]), 3, 0.0, seed=1),
    ],
    ids=["uniform", "3 strata", "11 strata", "root", "flat"],
)
def test_labels_are_drawn_as_often_as_is_said(draw: LabelDraw) -> None:
    steps = 4000
    expected, found = draw.inclusion, frequencies(draw, steps)
    errors = np.abs(found - expected) / np.sqrt(expected * (1 - expected) / steps + 1e-12)
    assert errors.max() < 4.5


@given(st.integers(1, 60), st.data())
def test_strata_take_their_shares_of_uneven_shards(num_labels: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, num_labels))
    strata = data.draw(st.integers(1, count))
    draw = UniformDraw(num_labels, count, strata=strata)
    included = np.zeros(num_labels, dtype=bool)
    draw.add_to(included, 5)
    assert included.sum() == count
    assert draw.inclusion.sum() == pytest.approx(count)
    for stratum in range(strata):
        start, stop = shard_bounds(num_labels, stratum, strata)
        first, last = shard_bounds(count, stratum, strata)
        assert included[start:stop].sum() == last - first
        np.testing.assert_allclose(draw.inclusion[start:stop], (last - first) / (stop - start))
        if strata > 1:
            assert set(draw.stratum(stratum, 5)) == set(np.flatnonzero(included[start:stop]) + start)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=30), st.floats(0, 1), st.data())
def test_tempered_probabilities_add_up_and_follow_the_power(
    counts: list[int], alpha: float, data: st.DataObject
) -> None:
    array = np.array(counts)
    possible = int((array.astype(float) ** alpha > 0).sum())
    if not possible:
        return
    expected = data.draw(st.integers(1, possible))
    inclusion = tempered_inclusion(array, expected, alpha)
    assert inclusion.sum() == pytest.approx(expected, rel=1e-9)
    assert (inclusion >= 0).all() and (inclusion <= 1 + 1e-12).all()
    free = (inclusion < 1 - 1e-9) & (inclusion > 0)
    ratio = inclusion[free] / array[free].astype(float) ** alpha
    assert np.allclose(ratio, ratio[:1])
    order = np.argsort(array)
    assert (np.diff(inclusion[order]) >= -1e-12).all()


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(ConfigError, match="at most the 2 labels with training rows, got 3"):
        tempered_inclusion(np.array([0, 1, 5]), 3, 0.5)
    assert tempered_inclusion(np.array([0, 1, 5]), 3, 0.0).tolist() == [1, 1, 1]
    with pytest.raises(ConfigError, match="1 <= strata <= uniform"):
        stratified_inclusion(10, 3, 4)


def test_draws_of_earlier_recipes_stay_as_they_were() -> None:
    """The one uniform draw, whatever joins it."""
    included = np.zeros(1000, dtype=bool)
    UniformDraw(1000, 5, seed=3).add_to(included, 2)
    assert np.flatnonzero(included).tolist() == sorted(
        np.random.default_rng((3, 2)).choice(1000, 5, replace=False, shuffle=False).tolist()
    )
