from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from xmc.errors import ConfigError
from xmc.objectives import decoupled_softmax
from xmc.objectives.statistics.log_partition import LogPartition
from xmc.scoring import ScoreInputs, as_positives, reduce_scores
from xmc.training.batches import AllLabels, NegativesConfig, Pool, SampledLabels, build_pool_sampler

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


def test_the_configuration_builds_its_sampler() -> None:
    assert isinstance(build_pool_sampler(NegativesConfig(), RELEVANCE, B, 0), AllLabels)
    config = NegativesConfig(mode="sampled", uniform=UNIFORM, corrected=False)
    built = build_pool_sampler(config, RELEVANCE, B, 3)
    assert isinstance(built, SampledLabels)
    expected = sampler(corrected=False).pool(RELEVANCE[:B], 2)
    np.testing.assert_array_equal(built.pool(RELEVANCE[:B], 2).label_ids, expected.label_ids)
    assert built.pool(RELEVANCE[:B], 2).log_weights is None
