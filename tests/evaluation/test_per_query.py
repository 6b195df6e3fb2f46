from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.oracle import of_row
from xmc.errors import ConfigError, DataError
from xmc.evaluation import per_query_metrics, ranking_metrics

TRUTH = sp.csr_matrix(np.array([[1, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 1, 1, 1, 0]], dtype=np.float32))
IDS = np.array([[2, 4, 0], [0, 1, 2], [4, 1, -1]])
WEIGHTS = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
KINDS = ("P", "nDCG", "R", "MRR", "MAP", "PSP", "PSnDCG")


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 9), st.integers(0, 9), st.integers(1, 12), st.integers(0, 2**31))
def test_every_row_equals_the_definition(num_rows, num_labels, width, k, seed):
    rng = np.random.default_rng(seed)
    truth = rng.random((num_rows, num_labels)) < 0.4
    ids = np.full((num_rows, width), -1, dtype=np.int32)
    for row in ids:
        chosen = rng.permutation(num_labels)[: rng.integers(0, min(width, num_labels) + 1)]
        row[: len(chosen)] = chosen
    weights = rng.random(num_labels) + 1
    result = per_query_metrics(sp.csr_matrix(truth.astype(np.float32)), ids, (k, 2), weights)
    rows = [
        of_row(set(np.flatnonzero(row).tolist()), ranked.tolist(), weights, k)
        for row, ranked in zip(truth, ids, strict=True)
    ]
    for kind in KINDS:
        np.testing.assert_allclose(result.gained[f"{kind}@{k}"], [row[kind] for row in rows], atol=1e-12)
    for kind in ("PSP", "PSnDCG"):
        np.testing.assert_allclose(result.ideal[f"{kind}@{k}"], [row[f"{kind} ideal"] for row in rows])
    assert set(result.ideal) == {f"{kind}@{cut}" for kind in ("PSP", "PSnDCG") for cut in (k, 2)}


def test_over_all_rows_they_are_the_table():
    result = per_query_metrics(TRUTH, IDS, (1, 3), WEIGHTS)
    table = ranking_metrics(TRUTH, IDS, WEIGHTS, ks=(1, 3), recall_ks=(1, 3), kinds=KINDS)
    assert result.metrics() == pytest.approx(table)
    assert len(result) == 3 and result.num_positives.tolist() == [2, 0, 3]


def test_a_sample_with_repeats_is_a_ratio_of_its_own_sums():
    result = per_query_metrics(TRUTH, IDS, (1,), WEIGHTS)
    # Rows 0, 0 and 2: gained 4 + 4 + 0, best 4 + 4 + 8.
    assert result.metric("PSP@1", np.array([0, 0, 2])) == pytest.approx(100 * 8 / 16)
    assert result.metric("P@1", np.array([True, False, True])) == pytest.approx(50)
    assert result.metric("PSP@1", np.array([1])) == 0.0 and result.metric("P@1", np.array([], int)) == 0.0


def test_blocks_change_nothing_and_errors_name_the_row(monkeypatch):
    whole = per_query_metrics(TRUTH, IDS, (1, 3), WEIGHTS)
    monkeypatch.setattr("xmc.evaluation.row_blocks.MAX_ROWS", 2)
    parts = per_query_metrics(TRUTH, IDS, (1, 3), WEIGHTS)
    for name in whole.names:
        np.testing.assert_array_equal(whole.gained[name], parts.gained[name])
    with pytest.raises(DataError, match="row 2 of the ranking names label 4 twice"):
        per_query_metrics(TRUTH, np.array([[0, 1], [2, 3], [4, 4]]))


def test_what_is_computed_can_be_chosen():
    assert per_query_metrics(TRUTH, IDS, (2,)).names == ["P@2", "nDCG@2", "R@2", "MRR@2", "MAP@2"]
    assert per_query_metrics(TRUTH, IDS, (2, 2), kinds=("R",)).names == ["R@2"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"ks": (0,)}, "cut-offs of 1 and more"),
        ({"kinds": ("AUC",)}, "among P, nDCG.*got AUC"),
        ({"kinds": ("Cov",)}, "got Cov"),
        ({"kinds": ("PSP",)}, "inverse propensities for PSP@1"),
    ],
)
def test_bad_requests_are_explained(arguments, text):
    with pytest.raises(ConfigError, match=text):
        per_query_metrics(TRUTH, IDS, **arguments)
    with pytest.raises(ConfigError, match="expected a metric of P@1"):
        per_query_metrics(TRUTH, IDS, (1,)).metric("P@2")
    with pytest.raises(DataError, match="3 rows, got 1"):
        per_query_metrics(TRUTH, IDS[:1])
