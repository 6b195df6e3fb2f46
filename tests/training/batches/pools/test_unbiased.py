"""Every mixture of sources estimates the partition function of each row without bias.

Over random batches that hold a row, the mean of ``exp(n)`` of that row is the sum over its negatives.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from xmc.objectives.extra_negatives import reduce_with_extra
from xmc.objectives.statistics.log_partition import LogPartition
from xmc.scoring import ExtraNegatives, ScoreInputs, as_positives
from xmc.training.batches import MinedConfig, MinedLabels, SampledLabels, UniformDraw, draw_mined
from xmc.training.batches.pools.sampled import LabelRows

N, L, B, STEPS = 48, 34, 8, 600
ROW = 5


def skewed_relevance() -> sp.csr_matrix:
    generator = np.random.default_rng(0)
    dense = generator.random((N, L)) < 0.6 / (1 + np.arange(L))
    dense[np.arange(N), generator.integers(L, size=N)] = True
    return sp.csr_matrix(dense.astype(np.float32))


RELEVANCE = skewed_relevance()
SCORES = np.random.default_rng(1).normal(size=(N, L)) * 1.2
FULL = np.exp(np.where(RELEVANCE.toarray() > 0, -np.inf, SCORES)).sum(1)


def some_masked() -> sp.csr_matrix:
    """Of each row its two best-scoring negatives, which weigh most, and of all rows but one label 0."""
    masked = np.zeros((N, L), dtype=bool)
    masked[np.arange(N)[:, None], hardest(2).ids] = True
    masked[:, 0] = RELEVANCE.toarray()[:, 0] == 0
    masked[3, 0] = False
    return sp.csr_matrix(masked)


def hardest(width: int = 6) -> MinedLabels:
    """The ``width`` best-scoring labels of each row that are not its positives."""
    scores = np.where(RELEVANCE.toarray() > 0, -np.inf, SCORES)
    ids = np.argsort(-scores, axis=1)[:, :width]
    return MinedLabels(ids.astype(np.int32), np.take_along_axis(scores, ids, 1).astype(np.float32))


def estimate(
    sampler: SampledLabels,
    rows: np.ndarray,
    step: int,
    *,
    pairs: bool = True,
    relevance: sp.csr_matrix = RELEVANCE,
    scores: np.ndarray = SCORES,
    masked: sp.csr_matrix | None = None,
) -> np.ndarray:
    """``exp(n)`` of the batch's rows over its pool; without ``pairs`` a row's own labels are weighed too."""
    pool = sampler.pool(relevance[rows], step, rows, None if masked is None else masked[rows])
    weights = np.tile(np.exp(pool.log_weights.astype(np.float64)), (len(rows), 1))
    if pool.apart is not None:
        weights[pool.apart.rows] = np.exp(pool.apart.log_weights.astype(np.float64))
    if pool.masked is not None:
        weights[pool.masked.toarray()] = 0
    if pairs and pool.certain is not None:
        weights[pool.certain.toarray()] = 1
    weights[pool.positives.toarray() > 0] = 0
    return (np.exp(scores[np.ix_(rows, pool.label_ids)]) * weights).sum(1)


def test_the_estimate_is_what_objectives_compute() -> None:
    """For pools with certain pairs: of the rows' mined labels, and of clusters."""
    sampler = SampledLabels(RELEVANCE, B, seed=2, uniform=6)
    drawn = draw_mined(MinedConfig(count=1, last=6), hardest(), L, np.random.default_rng(0))
    sampler.set_batches(mined=drawn, units=np.arange(N) // 2)
    rows = np.arange(10, 18)
    pool = sampler.pool(RELEVANCE[rows], 1, rows)
    assert pool.certain is not None and pool.certain.nnz
    # Queries are unit vectors, so that the scores of any labels can be given.
    _, log_negatives = reduce_with_extra(
        ScoreInputs(
            torch.eye(B, dtype=torch.float64),
            torch.from_numpy(SCORES[np.ix_(rows, pool.label_ids)].T.copy()),
            as_positives(pool.positives, B, len(pool.label_ids)),
            scale=1.0,
            offsets=None,
            log_weights=torch.from_numpy(pool.log_weights).double(),
            shard=None,
            extra=ExtraNegatives(certain=pool.certain),
        ),
        LogPartition(),
    )
    np.testing.assert_allclose(log_negatives.exp().numpy(), estimate(sampler, rows, 1), rtol=1e-6)


def batch_with_row(step: int) -> np.ndarray:
    generator = np.random.default_rng((7, step))
    return np.append(ROW, generator.choice(np.delete(np.arange(N), ROW), B - 1, replace=False))


def assert_unbiased(estimates: np.ndarray, expected: float, precise: float = 0.04) -> None:
    error = estimates.std() / np.sqrt(len(estimates))
    assert error < precise * expected, "the test would not see a bias"
    assert abs(estimates.mean() - expected) < 4 * error


MIXTURES: dict[str, dict[str, Any]] = {
    "uniform": {"uniform": 6},
    "uniform in uneven strata": {"uniform": 8, "strata": 3},
    "uniform and tempered": {"uniform": 4, "tempered": 5, "alpha": 0.5},
    "tempered to the frequency": {"uniform": 4, "tempered": 5, "alpha": 1.0},
    "strata and tempered": {"uniform": 7, "strata": 4, "tempered": 4, "alpha": 0.25},
    "a positive of each row": {"uniform": 6, "positives": 1},
    "two positives and tempered": {"uniform": 4, "tempered": 5, "positives": 2},
}


@pytest.mark.parametrize("options", MIXTURES.values(), ids=MIXTURES.keys())
def test_draws_and_in_batch_positives(options: dict[str, Any]) -> None:
    sampler = SampledLabels(RELEVANCE, B, seed=2, **options)
    found = np.array([estimate(sampler, batch_with_row(step), step)[0] for step in range(STEPS)])
    assert_unbiased(found, FULL[ROW])


@pytest.mark.parametrize(
    ("draw", "options"),
    [
        ("rank", {}),
        pytest.param("score", {}, marks=pytest.mark.slow),
        pytest.param("rank", {"tempered": 4, "strata": 2}, marks=pytest.mark.slow),
        ("score", {"tempered": 4, "strata": 2}),
        pytest.param("rank", {"positives": 1}, marks=pytest.mark.slow),
    ],
)
def test_mined_labels_join_without_bias_and_with_less_variance(draw: Any, options: dict[str, Any]) -> None:
    """The draw of mined labels is made anew now and then, as each epoch does."""
    config = MinedConfig(count=2, last=6, draw=draw, sharpness=1.0)
    sampler = SampledLabels(RELEVANCE, B, seed=2, uniform=6, **options)
    plain = SampledLabels(RELEVANCE, B, seed=2, uniform=6, **options)
    found, biased, without = np.empty((3, STEPS))
    for step in range(STEPS):
        if step % 6 == 0:
            sampler.set_batches(mined=draw_mined(config, hardest(), L, np.random.default_rng((1, step))))
        rows = batch_with_row(step)
        found[step] = estimate(sampler, rows, step)[0]
        biased[step] = estimate(sampler, rows, step, pairs=False)[0]
        without[step] = estimate(plain, rows, step)[0]
    assert_unbiased(found, FULL[ROW])
    assert found.std() < without.std()
    # The control: weighed as if another row had brought them, a row's own hard negatives count too much.
    assert biased.mean() - FULL[ROW] > 8 * biased.std() / np.sqrt(STEPS)


@pytest.mark.parametrize("size", [pytest.param(2, marks=pytest.mark.slow), 4, 8])
@pytest.mark.parametrize("mined", [False, True], ids=["positives", "mined"])
def test_clustered_batches(size: int, mined: bool) -> None:
    """Neighbours always share a batch: what they bring is certain, what other clusters bring is counted."""
    sampler = SampledLabels(RELEVANCE, B, seed=2, uniform=6)
    units = np.random.default_rng(4).permutation(np.repeat(np.arange(N // size), size))
    drawn = (
        draw_mined(MinedConfig(count=1, last=6), hardest(), L, np.random.default_rng(0)) if mined else None
    )
    sampler.set_batches(mined=drawn, units=units)
    own, found = units[ROW], []
    for step in range(STEPS):
        generator = np.random.default_rng((9, step))
        others = generator.choice(np.delete(np.arange(N // size), own), B // size - 1, replace=False)
        rows = np.concatenate([np.flatnonzero(units == unit) for unit in (own, *others)])
        found.append(estimate(sampler, rows, step)[rows.tolist().index(ROW)])
    assert_unbiased(np.array(found), FULL[ROW], 0.06)


def test_in_clusters_the_chances_of_random_batches_are_wrong() -> None:
    """The control of the test above: rows whose neighbours share their labels are far off."""
    order = np.argsort(-SCORES[:, 0])
    units = np.empty(N, dtype=np.int64)
    units[order] = np.arange(N) // B
    sampler = SampledLabels(RELEVANCE, B, seed=2, uniform=6)
    rows = np.flatnonzero(units == 0)
    naive = np.mean([estimate(sampler, rows, step) for step in range(300)], 0)
    sampler.set_batches(units=units)
    exact = np.mean([estimate(sampler, rows, step) for step in range(300)], 0)
    assert np.abs(exact / FULL[rows] - 1).max() < 0.2
    assert np.abs(naive / FULL[rows] - 1).max() > 0.3


@pytest.mark.parametrize(
    ("listed", "positives"),
    [(False, None), (True, None), (False, 1)],
    ids=["alone", "with mined labels and clusters", "a positive of each row"],
)
def test_labels_that_are_queries_of_themselves(listed: bool, positives: int | None) -> None:
    """They bring a uniform draw of labels; the sums of training rows and of their own are both estimated."""
    queries = UniformDraw(L, 4, seed=77)
    sampler = SampledLabels(
        RELEVANCE, B, seed=2, uniform=5, label_rows=LabelRows(N, queries), positives=positives
    )
    units = np.arange(N) // 2
    if listed:
        drawn = draw_mined(MinedConfig(count=1, last=6), hardest(), L, np.random.default_rng(0))
        sampler.set_batches(mined=drawn, units=units)
    relevance = sp.vstack([RELEVANCE, sp.identity(L, dtype=np.float32)]).tocsr()
    scores = np.vstack([SCORES, np.random.default_rng(3).normal(size=(L, L))])
    own = np.exp(scores[N:]).sum(1) - np.exp(np.diagonal(scores[N:]))
    found, of_labels = [], []
    for step in range(STEPS):
        generator = np.random.default_rng((11, step))
        if listed:
            others = generator.choice(np.delete(np.arange(N // 2), units[ROW]), B // 2 - 1, replace=False)
            rows = np.flatnonzero(np.isin(units, np.append(others, units[ROW])))
        else:
            rows = batch_with_row(step)
        asked = np.zeros(L, dtype=bool)
        queries.add_to(asked, step)
        rows = np.concatenate([rows, N + np.flatnonzero(asked)])
        estimates = estimate(sampler, rows, step, relevance=relevance, scores=scores)
        found.append(estimates[rows.tolist().index(ROW)])
        of_labels.append((estimates[rows >= N] / own[asked]).mean())
    assert_unbiased(np.array(found), FULL[ROW])
    assert_unbiased(np.array(of_labels), 1.0)


@pytest.mark.parametrize("brought", [False, True], ids=["by chance", "brought"])
@pytest.mark.parametrize("listed", [False, True], ids=["alone", "with mined labels and clusters"])
def test_masked_pairs_are_in_no_sum(listed: bool, brought: bool) -> None:
    """Rows bring the labels masked for them where others than the pool's are scored beside it."""
    masked = some_masked()
    sampler = SampledLabels(RELEVANCE, B, seed=2, uniform=6, brought_masked=masked if brought else None)
    units = np.arange(N) // 2
    if listed:
        # Mined for one row, a label may be masked for its neighbour.
        lists = MinedLabels(*(part[:, 2:] for part in (hardest(8).ids, hardest(8).scores)))
        drawn = draw_mined(MinedConfig(count=2, last=6), lists, L, np.random.default_rng(0))
        drawn = sp.csr_matrix(drawn.toarray() & ~masked.toarray())
        sampler.set_batches(mined=drawn, units=units)
    full = np.exp(np.where((RELEVANCE.toarray() > 0) | masked.toarray(), -np.inf, SCORES)).sum(1)
    found = []
    for step in range(STEPS):
        rows = batch_with_row(step)
        if listed:
            others = np.random.default_rng((11, step)).choice(
                np.delete(np.arange(N // 2), units[ROW]), B // 2 - 1, replace=False
            )
            rows = np.flatnonzero(np.isin(units, np.append(others, units[ROW])))
        found.append(estimate(sampler, rows, step, masked=masked)[rows.tolist().index(ROW)])
        if brought and step < 20:
            pool = sampler.pool(RELEVANCE[rows], step, rows, masked[rows])
            assert pool.masked is not None and pool.masked.nnz == masked[rows].nnz
    assert_unbiased(np.array(found), full[ROW], 0.06)
    assert full[ROW] < 0.8 * FULL[ROW], "leaving the masks out would be seen"


@pytest.mark.slow
def test_every_label_is_included_as_often_as_is_said() -> None:
    config = MinedConfig(count=2, last=6)
    mined = draw_mined(config, hardest(), L, np.random.default_rng(0))
    sampler = SampledLabels(RELEVANCE, B, seed=2, uniform=5, strata=2, tempered=4, alpha=0.5)
    sampler.set_batches(mined=mined)
    included, steps = np.zeros(L), 3000
    for step in range(steps):
        rows = batch_with_row(step)
        included[sampler.pool(RELEVANCE[rows], step, rows).label_ids] += 1
    own = (RELEVANCE[ROW].toarray()[0] > 0) | mined[ROW].toarray()[0]
    assert (included[own] == steps).all() and own.sum() > 2
    expected = sampler.inclusion[~own]
    errors = np.abs(included[~own] / steps - expected) / np.sqrt(expected * (1 - expected) / steps + 1e-12)
    assert errors.max() < 4.5
