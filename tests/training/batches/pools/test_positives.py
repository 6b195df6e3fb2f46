"""Some of each row's positives: how they are drawn, what stands for the others, and that no mean moves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from xmc.errors import ConfigError
from xmc.objectives import binary_cross_entropy, decoupled_softmax
from xmc.training.batches import SampledLabels
from xmc.training.batches.pools.positives import PositiveDraw, positive_inclusion

# Rows of 5, 3, 1, 4 and no positives of 9 labels, of equal and of unequal relevance.
EQUAL = np.zeros((5, 9), dtype=np.float32)
for row, labels in enumerate(([0, 2, 3, 6, 8], [1, 2, 5], [4], [0, 1, 7, 8])):
    EQUAL[row, labels] = 1
GRADED = EQUAL * np.array([8, 1, 1.5, 1, 2, 0.5, 0.25, 3, 1], dtype=np.float32)
OBJECTIVES = {"decoupled": decoupled_softmax, "binary": partial(binary_cross_entropy, bias=-0.5)}
KINDS = {"equal": EQUAL, "graded": GRADED}


@given(st.lists(st.lists(st.floats(0.01, 100), max_size=9), min_size=1, max_size=6), st.integers(1, 5))
def test_probabilities_go_with_relevance_and_add_up_to_the_count(rows: list[list[float]], count: int) -> None:
    lengths = np.array([len(row) for row in rows])
    data = np.array([value for row in rows for value in row])
    columns = np.concatenate([np.arange(length) for length in lengths])
    matrix = sp.csr_matrix((data, columns, np.append(0, np.cumsum(lengths))), shape=(len(rows), 9))
    found = np.split(positive_inclusion(matrix, count), np.cumsum(lengths)[:-1])
    for values, chances in zip(rows, found, strict=True):
        assert chances.sum() == pytest.approx(min(count, len(values)))
        assert ((chances > 0) & (chances <= 1)).all()
        open_ = chances < 1
        ratios = chances[open_] / np.array(values)[open_]
        np.testing.assert_allclose(ratios, ratios[:1].repeat(len(ratios)))
        # Those that are certain have at least the share of the rest.
        assert (np.array(values)[~open_] * ratios[:1] > 1 - 1e-9).all() if open_.any() else True


@pytest.mark.parametrize("relevance", KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_batch_keeps_the_count_and_the_relevance_of_each_row(relevance: np.ndarray, count: int) -> None:
    draw, matrix = PositiveDraw(count, seed=4), sp.csr_matrix(relevance)
    for index in range(50):
        kept, others = draw.split(matrix, index)
        assert others is not None and others.dtype == bool
        np.testing.assert_array_equal((kept.toarray() > 0) ^ others.toarray(), relevance > 0)
        np.testing.assert_array_equal(np.diff(kept.indptr), np.minimum(count, (relevance > 0).sum(1)))
        np.testing.assert_allclose(kept.sum(1).A1, relevance.sum(1), rtol=1e-6)


def test_the_seed_and_the_batch_decide_what_is_kept() -> None:
    matrix = sp.csr_matrix(np.tile(GRADED, (20, 1)))
    first, same, other_batch, other_seed = (
        PositiveDraw(2, seed=seed).split(matrix, index)[0] for seed, index in ((4, 9), (4, 9), (4, 8), (5, 9))
    )
    assert (first != same).nnz == 0
    assert (first != other_batch).nnz and (first != other_seed).nnz


def test_where_no_row_has_more_all_are_kept() -> None:
    matrix = sp.csr_matrix(GRADED)
    kept, others = PositiveDraw(5).split(matrix, 0)
    assert kept is matrix and others is None


@pytest.mark.parametrize("relevance", KINDS.values(), ids=KINDS.keys())
def test_positives_are_kept_as_often_as_is_said_and_weighed_by_it(relevance: np.ndarray) -> None:
    copies, count = 4000, 2
    kept, _ = PositiveDraw(count, seed=1).split(sp.csr_matrix(np.tile(relevance, (copies, 1))), 0)
    found = kept.toarray().reshape(copies, *relevance.shape)
    matrix = sp.csr_matrix(relevance)
    chances = sp.csr_matrix((positive_inclusion(matrix, count), matrix.indices, matrix.indptr)).toarray()
    errors = np.abs((found > 0).mean(0) - chances) / np.sqrt(chances * (1 - chances) / copies + 1e-12)
    assert errors.max() < 4.5
    np.testing.assert_allclose(found.mean(0), relevance, atol=0.15)
    np.testing.assert_allclose(found[0] * chances, relevance * (found[0] > 0), rtol=1e-6)


def test_of_equal_relevance_each_set_is_as_likely() -> None:
    copies = 6000
    kept, _ = PositiveDraw(2, seed=3).split(sp.csr_matrix(np.tile(EQUAL[3], (copies, 1))), 0)
    sets, counts = np.unique(kept.toarray() > 0, axis=0, return_counts=True)
    assert len(sets) == 6
    assert np.abs(counts / copies - 1 / 6).max() < 4.5 * np.sqrt(5 / 36 / copies)


@pytest.mark.parametrize("relevance", KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())
def test_the_mean_loss_and_gradient_are_those_of_all_positives(
    objective: Callable[..., torch.Tensor], relevance: np.ndarray
) -> None:
    """Of queries against all labels, those masked that are not kept. A weight less or a mask less is seen."""
    generator, copies = torch.Generator().manual_seed(0), 3000
    queries, labels = (torch.randn(n, 3, generator=generator, dtype=torch.float64) for n in (5, 9))

    def losses(positives: sp.csr_matrix, masked: sp.csr_matrix | None, times: int) -> np.ndarray:
        """[rows, 4]: the loss of each row, and its gradient by the query."""
        repeated = queries.repeat(times, 1).requires_grad_()
        rows = objective(repeated, labels, positives, scale=1.0, reduction="none", masked=masked)
        (gradient,) = torch.autograd.grad(rows.sum(), repeated)
        return np.column_stack([rows.detach().numpy(), gradient.numpy()])

    expected = losses(sp.csr_matrix(relevance), None, 1)
    kept, others = PositiveDraw(2, seed=2).split(sp.csr_matrix(np.tile(relevance, (copies, 1))), 0)
    assert others is not None

    def distance(of: np.ndarray) -> np.ndarray:
        """How far the means are from those of all positives, in standard errors."""
        found = of.reshape(copies, *expected.shape)
        error = found.std(0) / np.sqrt(copies)
        assert error.max() < 0.03 * np.abs(expected).max(), "the test would not see a bias"
        return np.abs(found.mean(0) - expected) / (error + 1e-9)

    assert distance(losses(kept, others, copies)).max() < 4.5
    assert distance(losses(kept, None, copies)).max() > 20, "as negatives they are another loss"
    if relevance is GRADED or objective is not decoupled_softmax:
        # The positives that are kept as they were, and as though there were no more.
        bare = sp.csr_matrix(kept.astype(bool).multiply(np.tile(relevance, (copies, 1))))
        assert distance(losses(bare, others, copies)).max() > 20, "unweighed they do not stand for the others"


def test_a_pool_has_what_is_kept_and_masks_the_others_of_a_row_for_that_row() -> None:
    relevance = sp.csr_matrix(EQUAL)
    sampler = SampledLabels(relevance, 3, uniform=4, seed=5, positives=1)
    seen = 0
    for index in range(30):
        rows = np.random.default_rng(index).choice(5, 3, replace=False)
        filtered = sp.csr_matrix(np.tile(np.arange(9) == 5, (3, 1)) & (EQUAL[rows] == 0))
        pool = sampler.pool(relevance[rows], index, rows, filtered)
        kept = pool.positives.toarray()
        counts = EQUAL[rows].sum(1)
        np.testing.assert_array_equal((kept > 0).sum(1), np.minimum(counts, 1))
        np.testing.assert_allclose(kept.sum(1), counts)
        others = (EQUAL[rows][:, pool.label_ids] > 0) & (kept == 0)
        wanted = others | (filtered.toarray()[:, pool.label_ids] > 0)
        masked = np.zeros_like(others) if pool.masked is None else pool.masked.toarray()
        np.testing.assert_array_equal(masked, wanted)
        assert len(pool.label_ids) <= 4 + 3
        seen += others.sum()
    assert seen > 10, "there is nothing to mask"


def test_a_count_that_no_row_exceeds_changes_nothing() -> None:
    relevance = sp.csr_matrix(EQUAL)
    plain, counted = (SampledLabels(relevance, 3, uniform=4, seed=5, positives=k) for k in (None, 5))
    np.testing.assert_array_equal(plain.inclusion, counted.inclusion)
    first, second = (sampler.pool(relevance[:3], 1) for sampler in (plain, counted))
    np.testing.assert_array_equal(first.label_ids, second.label_ids)
    assert second.masked is None and (first.positives != second.positives).nnz == 0


def test_masked_labels_are_brought_for_certain_and_positives_by_their_chance() -> None:
    """Of a batch of 2 rows, for row 4, which has none of its own: each other row is as likely the second."""
    filtered = np.zeros_like(EQUAL, dtype=bool)
    filtered[0, [1, 4]] = filtered[1, 0] = filtered[3, 4] = True
    relevance, masked = sp.csr_matrix(EQUAL), sp.csr_matrix(filtered)
    sampler = SampledLabels(relevance, 2, uniform=1, seed=5, positives=1, brought_masked=masked)
    kept = EQUAL.astype(np.float64) / EQUAL.sum(1, keepdims=True).clip(min=1)
    brought = np.where(filtered, 1.0, kept)[:4].mean(0)
    np.testing.assert_allclose(sampler.inclusion, 1 - (1 - brought) * (1 - 1 / 9))
    rows = np.array([0, 1, 3])
    pool = sampler.pool(relevance[rows], 3, rows, masked[rows])
    assert np.isin([0, 1, 4], pool.label_ids).all()
    assert pool.dropped is not None
    np.testing.assert_array_equal(np.diff(pool.dropped.indptr), [4, 2, 3])


def test_what_some_positives_do_not_go_with() -> None:
    relevance = sp.csr_matrix(EQUAL)
    sampler = SampledLabels(relevance, 2, uniform=4, positives=1)
    with pytest.raises(ConfigError, match="in clusters, got chances"):
        sampler.set_batches(units=np.array([0, 0, 1, 1, -1]))
