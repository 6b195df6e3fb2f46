from __future__ import annotations

import time

import numpy as np
import pytest

from xmc.errors import ConfigError
from xmc.reports.resampling import bootstrap, paired_bootstrap, sign_flip_p_values


def test_ratios_are_resampled_as_ratios_of_sums() -> None:
    generator = np.random.default_rng(0)
    gained, whole = generator.random((37, 2)), generator.random((37, 2)) + 0.5
    found = bootstrap(gained, whole, resamples=50, seed=3)
    # The same draws, one resample at a time.
    draws = np.random.default_rng(3).integers(0, 37, (50, 37))
    ratios = np.array([gained[rows].sum(axis=0) / whole[rows].sum(axis=0) for rows in draws])
    np.testing.assert_allclose(found.value, gained.sum(axis=0) / whole.sum(axis=0))
    np.testing.assert_allclose([found.low, found.high], np.quantile(ratios, [0.025, 0.975], axis=0))


def test_the_interval_of_a_mean_is_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, (4000, 1))
    found = bootstrap(values, np.ones_like(values))
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert found.low[0] == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high[0] == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_intervals_cover_as_often_as_they_say() -> None:
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        whole = generator.integers(1, 4, (60, 1)).astype(float)
        gained = whole * (generator.random((60, 1)) < 0.4)
        found = bootstrap(gained, whole, resamples=300, level=0.8)
        covered += bool(found.low[0] <= 0.4 <= found.high[0])
    assert 0.7 < covered / 200 < 0.88


def test_a_pair_is_resampled_together() -> None:
    """Two systems that differ by a constant differ by it in every resample."""
    first = np.random.default_rng(0).random((100, 1))
    found = paired_bootstrap(first, first + 0.25, np.ones_like(first))
    np.testing.assert_allclose([found.value[0], found.low[0], found.high[0]], 0.25)


def test_chunks_and_other_metrics_change_no_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    gained, ones = np.random.default_rng(0).random((50, 3)), np.ones((50, 3))
    whole = bootstrap(gained, ones, resamples=40)
    monkeypatch.setattr("xmc.reports.resampling._CHUNK_NUMBERS", 64)
    part = bootstrap(gained[:, 1:2], ones[:, 1:2], resamples=40)
    np.testing.assert_allclose([part.low[0], part.high[0]], [whole.low[1], whole.high[1]])


def test_a_metric_without_a_whole_is_not_a_number() -> None:
    found = bootstrap(np.zeros((5, 2)), np.array([[0.0, 1.0]] * 5))
    assert np.isnan([found.value[0], found.low[0], found.high[0]]).all()
    assert [found.value[1], found.low[1], found.high[1]] == [0, 0, 0]


def test_sign_flips_agree_with_all_of_them() -> None:
    """With 10 queries all 1,024 sign vectors can be counted."""
    difference = np.random.default_rng(4).normal(0.4, 1.0, (10, 2))
    signs = 1 - 2 * ((np.arange(1024)[:, None] >> np.arange(10)) & 1)
    exact = (np.abs(signs @ difference) >= np.abs(difference.sum(axis=0)) - 1e-12).mean(axis=0)
    np.testing.assert_allclose(sign_flip_p_values(difference, flips=40_000), exact, atol=0.01)


def test_ties_of_discrete_differences_count() -> None:
    """Eight wins and no loss of 0.1: only the two constant sign vectors are as large, p = 2 / 256."""
    difference = np.vstack([np.full((8, 1), 0.1), np.zeros((50, 1))])
    assert sign_flip_p_values(difference, flips=50_000)[0] == pytest.approx(2 / 256, abs=0.002)


def test_sums_that_differ_by_rounding_alone_are_ties() -> None:
    """Of the 8 sign vectors up to a common sign, 5 have a sum of at least 0.4; two of them exactly 0.4."""
    difference = np.array([[0.1], [0.2], [-0.3], [0.4]])
    assert sign_flip_p_values(difference, flips=50_000)[0] == pytest.approx(5 / 8, abs=0.02)


def test_p_values_without_and_with_a_difference() -> None:
    assert sign_flip_p_values(np.zeros((20, 1)))[0] == 1.0
    assert sign_flip_p_values(np.ones((40, 1)), flips=999)[0] == 1 / 1000


def test_p_values_are_uniform_when_nothing_differs() -> None:
    generator = np.random.default_rng(5)
    p = np.array([sign_flip_p_values(generator.normal(size=(30, 1)), flips=200)[0] for _ in range(200)])
    assert 0.02 < (p <= 0.1).mean() < 0.18 and 0.4 < (p <= 0.5).mean() < 0.6


def test_a_hundred_thousand_queries_take_seconds() -> None:
    gained = np.random.default_rng(0).random((100_000, 4))
    started = time.process_time()
    bootstrap(gained, np.ones_like(gained), resamples=200)
    sign_flip_p_values(gained - 0.5, flips=1000)
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("gained", "whole", "options"),
    [
        (np.zeros((0, 1)), np.zeros((0, 1)), {}),
        (np.zeros((3, 1)), np.zeros((3, 2)), {}),
        (np.zeros((3, 1)), np.ones((3, 1)), {"resamples": 0}),
        (np.zeros((3, 1)), np.ones((3, 1)), {"level": 1.0}),
    ],
)
def test_what_cannot_be_resampled_is_refused(gained, whole, options) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match="expected"):
        bootstrap(gained, whole, **options)
    with pytest.raises(ConfigError, match="expected"):
        sign_flip_p_values(np.zeros((0, 1)))
