"""Shares of co-labels against a dense matrix."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.errors import ConfigError
from xmc.training.batches.co_labels import co_label_shares


@pytest.mark.parametrize("pairs_of_a_block", [1, 40, 1 << 22])
@pytest.mark.parametrize("threshold", [1e-9, 0.2, 1 / 3, 1.0])
def test_shares_are_those_of_the_dense_matrix(threshold: float, pairs_of_a_block: int) -> None:
    random = np.random.default_rng(3)
    pairs = (random.random((40, 25)) < 0.15).astype(np.float32)
    pairs[:, 7] = 0  # a label without rows
    pairs[:, 8] = pairs[:, 9]  # two that always come together
    relevance = sp.csr_matrix(pairs * random.uniform(0.5, 2.0, pairs.shape).astype(np.float32))
    found = co_label_shares(relevance, threshold, pairs_of_a_block=pairs_of_a_block)
    together = pairs.T @ pairs
    expected = together / np.maximum(together.diagonal(), 1)[:, None]
    np.fill_diagonal(expected, 0)
    expected[expected < threshold - 1e-6] = 0
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-6)
    assert found.dtype == np.float32 and (found.data > 0).all() and found[8, 9] == found[9, 8] == 1
    assert found[7].nnz == 0


def test_a_share_that_is_the_threshold_counts() -> None:
    relevance = sp.csr_matrix(np.array([[1, 1], *[[1, 0]] * 9], dtype=np.float32))
    assert co_label_shares(relevance, 0.1)[0, 1] == pytest.approx(0.1)
    assert co_label_shares(relevance, 0.11).nnz == 1


@pytest.mark.parametrize("pairs_of_a_block", [1, 1 << 22])
def test_a_prior_lowers_the_shares_of_few_rows_most(pairs_of_a_block: int) -> None:
    pairs = np.array([[1, 1, 1], *[[0, 1, 1]] * 9, [0, 0, 1]], dtype=np.float32)  # of 1, 10 and 11 rows
    found = co_label_shares(sp.csr_matrix(pairs), 1e-9, 5, pairs_of_a_block=pairs_of_a_block)
    expected = [[0, 1 / 6, 1 / 6], [1 / 15, 0, 10 / 15], [1 / 16, 10 / 16, 0]]
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-6)
    kept = co_label_shares(sp.csr_matrix(pairs), 0.3, 5, pairs_of_a_block=pairs_of_a_block)
    assert [row.nnz for row in kept] == [0, 1, 1], "of one row nothing is known"
    # Three rows of a label or more, as the option says: 3 / 8 is above 0.3, and 2 / 7 is not.
    for rows, known in ((2, 0), (3, 1)):
        always = sp.csr_matrix(np.ones((rows, 2), np.float32))
        assert co_label_shares(always, 0.3, 5)[0].nnz == known
    for prior in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="data.co_label_prior: expected 0 rows or more"):
            co_label_shares(sp.csr_matrix(pairs), 0.3, prior)


def test_what_is_refused_and_what_is_empty() -> None:
    relevance = sp.csr_matrix((4, 3), dtype=np.float32)
    for threshold in (0.0, -1.0, 1.01, float("nan")):
        with pytest.raises(ConfigError, match="data.co_labels: expected a share above 0 and at most 1"):
            co_label_shares(relevance, threshold)
    assert co_label_shares(relevance, 0.5).shape == (3, 3)
    assert co_label_shares(sp.csr_matrix((4, 0), dtype=np.float32), 0.5).shape == (0, 0)
