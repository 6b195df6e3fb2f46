from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from xmc.errors import DataError
from xmc.evaluation import mrr_at, ndcg_at, precision_at, psp_at, ranking_metrics, recall_at

# Rows: two positives; none; three positives. Labels 0..4.
TRUTH = sp.csr_matrix(np.array([[1, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 1, 1, 1, 0]], dtype=np.float32))
IDS = np.array([[2, 4, 0], [0, 1, 2], [4, 1, -1]])
WEIGHTS = np.array([1.0, 2.0, 4.0, 8.0, 16.0])


def test_precision_by_hand_divides_by_k_and_counts_the_empty_row():
    assert precision_at(TRUTH, IDS, 1) == pytest.approx((1 + 0 + 0) / 3)
    assert precision_at(TRUTH, IDS, 3) == pytest.approx((2 / 3 + 0 + 1 / 3) / 3)
    assert precision_at(TRUTH, IDS, 5) == pytest.approx((2 / 5 + 0 + 1 / 5) / 3)


def test_ndcg_by_hand():
    second, third = 1 / math.log2(3), 1 / math.log2(4)
    expected = ((1 + third) / (1 + second) + 0 + second / (1 + second + third)) / 3
    assert ndcg_at(TRUTH, IDS, 3) == pytest.approx(expected)


def test_recall_by_hand():
    assert recall_at(TRUTH, IDS, 1) == pytest.approx((1 / 2 + 0 + 0) / 3)
    assert recall_at(TRUTH, IDS, 100) == pytest.approx((1 + 0 + 1 / 3) / 3)


def test_reciprocal_rank_by_hand():
    assert mrr_at(TRUTH, IDS, 10) == pytest.approx((1 + 0 + 1 / 2) / 3)
    assert mrr_at(TRUTH, IDS, 1) == pytest.approx(1 / 3)


def test_psp_is_a_ratio_of_means_not_a_mean_of_ratios():
    # Gained: 4 (row 0), nothing, nothing; best: 4, nothing, 8. A mean of ratios would be 1/3.
    assert psp_at(TRUTH, IDS, 1, WEIGHTS) == pytest.approx(4 / 12)
    # Gained: 4 + 1, nothing, 2; best: 4 + 1, nothing, 8 + 4 + 2.
    assert psp_at(TRUTH, IDS, 3, WEIGHTS) == pytest.approx(7 / 19)


def test_a_row_with_fewer_positives_than_k_is_perfect_when_all_are_first():
    truth = sp.csr_matrix(np.array([[0, 1, 0]], dtype=np.float32))
    ids = np.array([[1, 0, 2]])
    assert ndcg_at(truth, ids, 3) == 1.0 and psp_at(truth, ids, 3, np.ones(3)) == 1.0
    assert precision_at(truth, ids, 3) == pytest.approx(1 / 3)


def test_a_pad_is_never_the_last_label_of_the_row_before():
    truth = sp.csr_matrix(np.array([[0, 0, 1], [0, 0, 0]], dtype=np.float32))
    assert precision_at(truth, np.array([[0], [-1]]), 1) == 0.0


def test_relevance_is_binary_whatever_its_size_and_stored_zeros_are_none():
    graded = sp.csr_matrix((np.array([0.2, 7.0, 0.0]), ([0, 0, 0], [0, 2, 3])), shape=(1, 5))
    plain = TRUTH[:1]
    for metric in (precision_at, ndcg_at, recall_at, mrr_at):
        assert metric(graded, IDS[:1], 3) == metric(plain, IDS[:1], 3)
    assert psp_at(graded, IDS[:1], 3, WEIGHTS) == psp_at(plain, IDS[:1], 3, WEIGHTS)


def test_unsorted_truth_and_no_positives_at_all():
    unsorted = sp.csr_matrix((np.ones(2), np.array([2, 0]), np.array([0, 2])), shape=(1, 5))
    assert precision_at(unsorted, IDS[:1], 3) == pytest.approx(2 / 3)
    assert psp_at(sp.csr_matrix((3, 5)), IDS, 3, WEIGHTS) == 0.0
    assert set(ranking_metrics(sp.csr_matrix((3, 5)), IDS, WEIGHTS).values()) == {0.0}


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        (np.array([[0, 1], [2, 2], [0, -1]]), "row 1 of the ranking names label 2 twice"),
        (np.array([[0, 1], [2, 3], [0, 5]]), "row 2 of the ranking.*from 0 to 4.*got 5"),
        (np.array([[0, -2], [2, 3], [0, 1]]), "row 0 of the ranking.*got -2"),
        (np.array([[0, 1]]), "3 rows"),
        (np.array([[0.0], [1.0], [2.0]]), "integers"),
    ],
)
def test_malformed_rankings_are_refused(ids, text):
    with pytest.raises(DataError, match=text):
        precision_at(TRUTH, ids, 1)
    with pytest.raises(DataError, match=text):
        ranking_metrics(TRUTH, ids, WEIGHTS)


def test_the_refused_row_is_named_in_later_blocks_too(monkeypatch):
    monkeypatch.setattr("xmc.evaluation.row_blocks.MAX_ROWS", 2)
    with pytest.raises(DataError, match="row 2 of the ranking names label 4 twice"):
        ranking_metrics(TRUTH, np.array([[0, 1], [2, 3], [4, 4]]), WEIGHTS)


def naive(truth, ids, weights, k):
    """Row by row, prediction by prediction."""
    p, ndcg, recall, gained, best = [], [], [], 0.0, 0.0
    for row, ranked in zip(truth, ids, strict=True):
        positives = set(np.flatnonzero(row).tolist())
        hits = [label in positives for label in ranked[:k].tolist()]
        p.append(sum(hits) / k)
        dcg = sum(1 / math.log2(rank + 2) for rank, hit in enumerate(hits) if hit)
        ideal = sum(1 / math.log2(rank + 2) for rank in range(min(k, len(positives))))
        ndcg.append(dcg / ideal if positives else 0.0)
        recall.append(sum(hits) / len(positives) if positives else 0.0)
        gained += sum(weights[label] for label, hit in zip(ranked[:k].tolist(), hits, strict=True) if hit)
        best += sum(sorted((weights[label] for label in positives), reverse=True)[:k])
    return np.mean(p), np.mean(ndcg), np.mean(recall), gained / best if best else 0.0


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 9), st.integers(1, 9), st.integers(1, 10), st.integers(0, 2**31))
def test_equals_the_naive_loops(num_rows, num_labels, width, k, seed):
    rng = np.random.default_rng(seed)
    truth = (rng.random((num_rows, num_labels)) < 0.4).astype(np.float32)
    ids = np.full((num_rows, width), -1, dtype=np.int32)
    for row in ids:
        chosen = rng.permutation(num_labels)[: rng.integers(0, min(width, num_labels) + 1)]
        row[: len(chosen)] = chosen
    weights = rng.random(num_labels) + 1
    sparse = sp.csr_matrix(truth)
    p, ndcg, recall, psp = naive(truth, ids, weights, k)
    assert precision_at(sparse, ids, k) == pytest.approx(p)
    assert ndcg_at(sparse, ids, k) == pytest.approx(ndcg)
    assert recall_at(sparse, ids, k) == pytest.approx(recall)
    assert psp_at(sparse, ids, k, weights) == pytest.approx(psp)
    together = ranking_metrics(sparse, ids, weights, ks=(k,), recall_ks=(k,))
    expected = {f"P@{k}": p, f"nDCG@{k}": ndcg, f"PSP@{k}": psp, f"R@{k}": recall}
    assert together == pytest.approx({name: 100 * value for name, value in expected.items()})


def test_blocks_change_nothing(monkeypatch):
    whole = ranking_metrics(TRUTH, IDS, WEIGHTS)
    monkeypatch.setattr("xmc.evaluation.row_blocks.MAX_ROWS", 2)
    assert ranking_metrics(TRUTH, IDS, WEIGHTS) == pytest.approx(whole)
