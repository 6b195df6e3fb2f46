from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.heads.dense import draw_batch, draw_table, value_of
from xmc.heads import factor, factored_step, plain_table
from xmc.heads.stabilise import (
    inverse_drift,
    moment_drift,
    rebalance,
    refresh_inverse,
    refresh_moments,
    unfactor,
)


@pytest.fixture
def worn():
    """A state after steps that shrink a few directions of U, with the table it stands for."""
    state, value = factor(draw_table(50, 8)), value_of("mean_squared_error")
    for number in range(60):
        queries, positives = draw_batch(4, 50, 8, number)
        state = factored_step(state, queries, positives, value, 0.1).state
    return state, plain_table(state)


def singular_values(state) -> torch.Tensor:
    return torch.linalg.svdvals(state.mix)


def test_rebalancing_keeps_the_table_and_brings_singular_values_into_the_span(worn):
    state, table = worn
    before = singular_values(state)
    outside = int(((before < 1 / 8) | (before > 8)).sum())
    assert 0 < outside < 8
    state, count = rebalance(state, span=8.0)
    assert count == outside
    torch.testing.assert_close(plain_table(state), table, rtol=1e-10, atol=1e-10)
    after = singular_values(state)
    assert after.min() >= 1 / 8 and after.max() <= 8
    assert inverse_drift(state) < 1e-12


def test_unfactoring_keeps_the_table_and_leaves_it_in_the_factor(worn):
    state, table = worn
    state = unfactor(state)
    torch.testing.assert_close(state.factor, table, rtol=1e-12, atol=1e-12)
    assert (state.shift == 0).all() and torch.equal(state.mix, torch.eye(8, dtype=torch.float64))


def test_steps_go_on_the_same_after_either(worn):
    state, _ = worn
    value = value_of("spherical_z_loss")
    batch = draw_batch(4, 50, 8, 99)
    moved = []
    for change in (lambda s: s, lambda s: rebalance(s)[0], unfactor):
        copy = replace(state, factor=state.factor.clone())
        moved.append(plain_table(factored_step(change(copy), *batch, value, 0.5).state))
    torch.testing.assert_close(moved[1], moved[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(moved[2], moved[0], rtol=1e-9, atol=1e-9)


def test_drift_of_the_moments_is_seen_and_mended(worn):
    state, _ = worn
    assert moment_drift(state) < 1e-9
    wrong = replace(state, scatter=state.scatter * 1.001)
    assert moment_drift(wrong) == pytest.approx(1e-3, rel=1e-6)
    shifted = replace(state, mean=state.mean + 0.1)
    assert moment_drift(shifted) > 1e-2
    mended = refresh_moments(replace(shifted, scatter=wrong.scatter))
    assert moment_drift(mended) < 1e-9
    torch.testing.assert_close(mended.mean, state.mean)


def test_drift_of_the_inverse_is_seen_and_mended(worn):
    state, _ = worn
    wrong = replace(state, inverse=state.inverse * 1.01)
    assert inverse_drift(wrong) == pytest.approx(0.01, rel=1e-6)
    assert inverse_drift(refresh_inverse(wrong)) < 1e-12
