from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from xmc.errors import DataError
from xmc.evaluation.hits import all_hits, check_ranking, find_hits


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 9), st.integers(1, 40), st.integers(0, 40), st.integers(0, 2**31))
def test_finds_what_looking_up_each_prediction_finds(num_rows, num_labels, width, seed):
    rng = np.random.default_rng(seed)
    truth = sp.csr_matrix((rng.random((num_rows, num_labels)) < 0.3).astype(np.float32))
    ids = np.full((num_rows, width), -1, dtype=np.int32)
    for row in ids:
        chosen = rng.permutation(num_labels)[: rng.integers(0, min(width, num_labels) + 1)]
        row[: len(chosen)] = chosen
    hits = find_hits(truth, ids)
    expected = [
        (i, j, label)
        for i, row in enumerate(ids)
        for j, label in enumerate(row)
        if label >= 0 and truth[i, label]
    ]
    found = zip(hits.rows.tolist(), hits.ranks.tolist(), hits.labels.tolist(), strict=True)
    assert list(found) == expected
    np.testing.assert_array_equal(hits.num_positives, np.diff(truth.indptr))
    for k in (1, width, width + 2):
        cut = [[i, j] for i, j, _ in expected if j < k]
        assert np.argwhere(hits.matrix(k)).tolist() == cut and hits.matrix(k).shape == (num_rows, k)


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_blocks_are_the_hits_of_their_rows_and_join_to_the_whole(monkeypatch, rows):
    monkeypatch.setattr("xmc.evaluation.row_blocks.MAX_ROWS", rows)
    rng = np.random.default_rng(0)
    truth = sp.csr_matrix((rng.random((10, 6)) < 0.4).astype(np.float32))
    ids = np.argsort(rng.random((10, 6)), axis=1)[:, :4]
    whole, joined = find_hits(truth, ids), all_hits(truth, ids)
    for name, values in vars(whole).items():
        np.testing.assert_array_equal(getattr(joined, name), values)
    blocks = list(whole.blocks())
    assert len(blocks) == -(-10 // rows)
    for block, hits in blocks:
        for name, values in vars(find_hits(truth[block], ids[block])).items():
            np.testing.assert_array_equal(getattr(hits, name), values)
    with pytest.raises(DataError, match="^row 9 of the ranking"):
        all_hits(truth, np.vstack([ids[:9], [[0, 0, 1, 2]]]))


def test_relevance_of_any_size_counts_once_and_zero_not():
    doubled = sp.csr_matrix(
        (np.array([1.0, 1.0, 0.0, 0.2]), np.array([2, 2, 1, 0]), np.array([0, 4])), (1, 3)
    )
    hits = find_hits(doubled, np.array([[0, 1, 2]]))
    assert hits.labels.tolist() == [0, 2] and hits.num_positives.tolist() == [2]
    assert doubled.nnz == 4  # the caller's matrix is not changed


def test_the_place_names_the_row():
    with pytest.raises(DataError, match="^run.txt, query c names label 1 twice"):
        find_hits(sp.csr_matrix((1, 3)), np.array([[1, 1]]), place=lambda row: f"run.txt, query {'cd'[row]}")
    with pytest.raises(DataError, match="^row 8 of the ranking: expected label ids from 0 to 2"):
        find_hits(sp.csr_matrix((1, 3)), np.array([[3, 1]]), first_row=8)
    with pytest.raises(DataError, match="names label 0 twice"):
        check_ranking(np.array([[0, 2, 0]]), 1, 3)
