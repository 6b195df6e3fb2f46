from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from xmc.distributed import shard_bounds
from xmc.errors import ConfigError
from xmc.objectives import decoupled_softmax
from xmc.objectives.statistics.log_partition import LogPartition
from xmc.scoring import ScoreInputs, as_positives, reduce_scores
from xmc.training.batches import (
    AllLabels,
    LabelDraw,
    NegativesConfig,
    Pool,
    SampledLabels,
    UniformDraw,
    build_pool_sampler,
    stratified_inclusion,
    tempered_inclusion,
)
from xmc.training.batches.pools.sampled import TemperedDraw

N, L, B, UNIFORM = 40, 30, 8, 5


def skewed_relevance() -> sp.csr_matrix:
    """[N, L] with about 3 labels a row: label 0 of most rows, the last labels of hardly any."""
    generator = np.random.default_rng(0)
    popularity = 1 / (1 + np.arange(L))
    dense = generator.random((N, L)) < 0.75 * popularity
    return sp.csr_matrix(dense * generator.uniform(0.5, 2.0, dense.shape).astype(np.float32))


RELEVANCE = skewed_relevance()


def sampler(**options: object) -> SampledLabels:
    return SampledLabels(RELEVANCE, B, **({"uniform": UNIFORM, "seed": 3} | options))  # type: ignore[arg-type]


def batch(step: int, row: int | None = None) -> np.ndarray:
    """The rows of a random batch; ``row`` comes first when given."""
    generator = np.random.default_rng((7, step))
    if row is None:
        return generator.choice(N, B, replace=False)
    return np.append(row, generator.choice(np.delete(np.arange(N), row), B - 1, replace=False))


def test_pools_hold_the_draw_and_every_positive_once_in_order() -> None:
    for step in range(50):
        positives = RELEVANCE[batch(step)]
        pool = sampler().pool(positives, step)
        assert (np.diff(pool.label_ids) > 0).all()
        assert 0 <= pool.label_ids[0] and pool.label_ids[-1] < L
        assert np.isin(positives.indices, pool.label_ids).all()
        drawn = np.setdiff1d(pool.label_ids, positives.indices)
        assert len(drawn) <= UNIFORM
        assert UNIFORM <= len(pool.label_ids) <= UNIFORM + len(np.unique(positives.indices))


def test_positives_keep_their_rows_labels_and_relevance() -> None:
    positives = RELEVANCE[batch(0)]
    pool = sampler().pool(positives, 0)
    assert pool.positives.shape == (B, len(pool.label_ids))
    assert pool.positives.nnz == positives.nnz
    np.testing.assert_array_equal(pool.positives.toarray(), positives.toarray()[:, pool.label_ids])


def test_a_batch_without_positives_has_the_draw_alone() -> None:
    pool = sampler().pool(sp.csr_matrix((B, L), dtype=np.float32), 4)
    assert len(pool.label_ids) == UNIFORM
    assert pool.positives.shape == (B, UNIFORM) and pool.positives.nnz == 0


def test_pools_depend_on_the_seed_and_the_step_alone() -> None:
    positives = RELEVANCE[batch(0)]
    first = sampler()
    for step in (5, 0, 3):
        first.pool(positives, step)
    again, expected = first.pool(positives, 5), sampler().pool(positives, 5)
    np.testing.assert_array_equal(again.label_ids, expected.label_ids)
    np.testing.assert_array_equal(again.log_weights, expected.log_weights)

    def differs(other: Pool) -> bool:
        return not np.array_equal(other.label_ids, expected.label_ids)

    assert differs(sampler().pool(positives, 6))
    assert differs(sampler(seed=4).pool(positives, 5))


def test_log_weights_are_those_of_the_pool_s_labels() -> None:
    made = sampler()
    pool = made.pool(RELEVANCE[batch(1)], 1)
    assert pool.log_weights is not None and pool.log_weights.dtype == np.float32
    np.testing.assert_allclose(np.exp(-pool.log_weights), made.inclusion[pool.label_ids], rtol=1e-6)
    assert sampler(corrected=False).pool(RELEVANCE[batch(1)], 1).log_weights is None


def test_a_draw_of_all_labels_is_certain() -> None:
    pool = sampler(uniform=L).pool(RELEVANCE[batch(2)], 2)
    assert pool.label_ids.tolist() == list(range(L))
    assert pool.log_weights is not None and not pool.log_weights.any()


def test_negatives_are_included_as_often_as_is_said() -> None:
    """For row 0 and each of its negatives, over random batches that hold row 0."""
    made, steps, row = sampler(), 3000, 0
    included = np.zeros(L)
    for step in range(steps):
        included[made.pool(RELEVANCE[batch(step, row)], step).label_ids] += 1
    negatives = np.flatnonzero(RELEVANCE[row].toarray()[0] == 0)
    expected = made.inclusion[negatives]
    errors = np.abs(included[negatives] / steps - expected) / np.sqrt(
        expected * (1 - expected) / steps + 1e-12
    )
    assert errors.max() < 4.5
    assert expected.max() > 3 * expected.min()


def test_corrected_pools_estimate_the_partition_function_without_bias() -> None:
    """The mean of exp(n) over many pools is the sum over all negatives; without correction it is far off."""
    generator = torch.Generator().manual_seed(0)
    query, labels = torch.randn(1, 3, generator=generator), torch.randn(L, 3, generator=generator)
    row, steps = 0, 1200
    scores = 0.5 * (query @ labels.T)[0].double()
    full = float(scores.exp()[RELEVANCE[row].toarray()[0] == 0].sum())
    estimates, made = {True: np.empty(steps), False: np.empty(steps)}, sampler()
    for step in range(steps):
        pool = made.pool(RELEVANCE[batch(step, row)], step)
        positives = as_positives(pool.positives[:1], 1, len(pool.label_ids))
        for corrected, estimate in estimates.items():
            weights = torch.from_numpy(pool.log_weights) if corrected else None
            _, log_negatives = reduce_scores(
                ScoreInputs(query, labels[pool.label_ids], positives, scale=0.5, log_weights=weights),
                LogPartition(),
            )
            estimate[step] = log_negatives.exp()
    errors = {kind: estimate.std() / np.sqrt(steps) for kind, estimate in estimates.items()}
    assert abs(estimates[True].mean() - full) < 4 * errors[True]
    assert errors[True] < 0.02 * full
    assert abs(estimates[False].mean() - full) > 0.3 * full


def test_a_pool_label_that_is_a_positive_of_the_row_is_never_its_negative() -> None:
    """Scores are 50 at a row's positives, 0 elsewhere: a positive among the negatives would cost log 2."""
    dense = (RELEVANCE.toarray() > 0).astype(np.float32)
    for step in range(20):
        rows = batch(step)
        pool = sampler().pool(RELEVANCE[rows], step)
        labels = torch.from_numpy(dense[rows].T[pool.label_ids].copy())
        weights = torch.from_numpy(pool.log_weights)
        loss = decoupled_softmax(torch.eye(B), labels, pool.positives, scale=50.0, log_weights=weights)
        assert loss < 1e-9


def test_expected_size_is_about_the_mean_size() -> None:
    made = sampler()
    sizes = [len(made.pool(RELEVANCE[batch(step)], step).label_ids) for step in range(300)]
    assert made.expected_size() == pytest.approx(np.mean(sizes), rel=0.1)


@pytest.mark.parametrize("uniform", [0, -1, L + 1])
def test_a_draw_that_is_impossible_is_an_error(uniform: int) -> None:
    with pytest.raises(ConfigError, match=rf"between 1 and the 30 labels, got {uniform}; use mode 'all'"):
        sampler(uniform=uniform)


def test_all_labels_are_scored_as_they_are() -> None:
    pool = AllLabels(L).pool(RELEVANCE[:B], 9)
    assert pool.label_ids.tolist() == list(range(L))
    assert (pool.positives != RELEVANCE[:B]).nnz == 0
    assert pool.log_weights is None
    assert AllLabels(L).expected_size() == L


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


def test_the_configuration_builds_its_sampler() -> None:
    assert isinstance(build_pool_sampler(NegativesConfig(), RELEVANCE, B, 0), AllLabels)
    config = NegativesConfig(mode="sampled", uniform=UNIFORM, corrected=False)
    built = build_pool_sampler(config, RELEVANCE, B, 3)
    assert isinstance(built, SampledLabels)
    expected = sampler(corrected=False).pool(RELEVANCE[:B], 2)
    np.testing.assert_array_equal(built.pool(RELEVANCE[:B], 2).label_ids, expected.label_ids)
    assert built.pool(RELEVANCE[:B], 2).log_weights is None
