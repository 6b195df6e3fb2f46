from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.distillation.average import Said, average, candidates_of, log_softmax_within


def test_candidates_are_a_union_without_what_is_left_out() -> None:
    proposed = [np.array([[3, 1], [2, -1]]), np.array([[1], [0]])]
    positives = sp.csr_matrix(np.array([[0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]))
    excluded = sp.csr_matrix(np.array([[0, 0, 0, 1, 0], [0, 0, 0, 0, 0]]))
    owners, labels = candidates_of(proposed, positives, excluded, 5)
    assert owners.tolist() == [0, 0, 1, 1] and labels.tolist() == [1, 4, 0, 2]
    owners, labels = candidates_of(proposed, None, None, 5)
    assert labels.tolist() == [1, 3, 0, 2]


def test_probabilities_are_averaged_and_not_scores() -> None:
    owners = np.zeros(2, dtype=np.int64)
    scores = np.array([[4.0, 0.0], [0.0, 2.0]])
    said = [Said(log_softmax_within(row, owners, 1), np.zeros(1)) for row in scores]
    mean = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    np.testing.assert_allclose(average(said, owners, 1), mean.mean(0))
    of_mean = np.exp(scores.mean(0)) / np.exp(scores.mean(0)).sum()
    assert abs(average(said, owners, 1)[0] - of_mean[0]) > 0.1
    np.testing.assert_allclose(average(said[:1], owners, 1), mean[0])


def test_silent_teachers_and_those_that_know_the_candidates_alone() -> None:
    owners = np.array([0, 0, 1])
    told = np.log([0.5, 0.3, 0.9])
    knows = Said(told, np.array([0.2, 0.1]), np.array([True, False]))
    within = Said(np.log([0.25, 0.75, 1.0]))
    # Of query 0 the second teacher leaves to others what the first does; of query 1 only it speaks.
    np.testing.assert_allclose(average([knows, within], owners, 2), [0.35, 0.45, 1.0])
    silent = Said(told, np.array([0.2, 0.1]), np.zeros(2, dtype=bool))
    assert average([silent], owners, 2).tolist() == [0, 0, 0]


def test_a_softmax_within_rows_of_large_scores() -> None:
    scores, owners = np.array([1000.0, 999.0, -5.0]), np.array([0, 0, 1])
    expected = [-np.log1p(np.exp(-1)), -1 - np.log1p(np.exp(-1)), 0]
    np.testing.assert_allclose(log_softmax_within(scores, owners, 2), expected)


@pytest.mark.parametrize("seed", range(3))
def test_a_row_never_adds_up_to_more_than_one(seed: int) -> None:
    draw = np.random.default_rng(seed)
    owners = np.sort(draw.integers(4, size=30))
    said = [Said(log_softmax_within(draw.normal(size=30) * 20, owners, 4), np.zeros(4)) for _ in range(3)]
    mean = average(said, owners, 4).astype(np.float32)
    assert (mean > 0).all() and np.bincount(owners, mean).max() <= 1 + 1e-6
