"""Prototypes against a loop over labels, and what the mathematics says of them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.errors import ConfigError, DataError
from xmc.retrieval.prototypes import blended_prototypes, support_prototypes


def units(count, seed=0):
    vectors = np.random.default_rng(seed).standard_normal((count, 4))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def relevance():
    """Label 0 has queries 0 and 1, label 1 query 1 alone, label 2 none, label 3 all."""
    return sp.csr_matrix(np.array([[2, 0, 0, 1], [3, 1, 0, 0.5], [0, 0, 0, 1]]))


@pytest.mark.parametrize("normalised", [True, False])
def test_support_is_the_mean_by_one_over_the_positives(relevance, normalised):
    queries, positives = units(3), np.array([2, 5, 1])
    found, counts = support_prototypes(queries, relevance, num_positives=positives, normalised=normalised)
    assert counts.tolist() == [2, 1, 0, 3] and found.dtype == np.float32
    for label in (0, 1, 3):
        rows = np.flatnonzero(relevance.toarray()[:, label])
        mean = sum(queries[row] / positives[row] for row in rows) / sum(1 / positives[rows])
        wanted = mean / np.linalg.norm(mean) if normalised else mean
        np.testing.assert_allclose(found[label], wanted, atol=1e-6)
    assert not found[2].any()


def test_positives_are_those_of_the_rows_where_none_are_given(relevance):
    given = support_prototypes(units(3), relevance, num_positives=np.array([2, 3, 1]))[0]
    np.testing.assert_array_equal(support_prototypes(units(3), relevance)[0], given)


def test_one_query_is_its_own_prototype_of_score_one():
    query = units(1)
    found, _ = support_prototypes(query, sp.csr_matrix([[1.0]]), num_positives=np.array([7]))
    assert float(query[0] @ found[0]) == pytest.approx(1.0)


def test_no_unit_vector_has_a_larger_summed_cosine():
    queries = units(6)
    best = support_prototypes(queries, sp.csr_matrix(np.ones((6, 1))))[0][0]
    assert np.linalg.norm(best) == pytest.approx(1.0)
    assert (queries @ best).sum() > (queries @ units(500, seed=1).T).sum(axis=0).max()


def test_the_text_counts_as_k0_queries():
    texts, support, counts = units(3), units(3, seed=1), np.array([1, 0, 20])
    found = blended_prototypes(texts, support, counts, k0=5.0, normalised=False)
    np.testing.assert_allclose(found[0], 5 / 6 * texts[0] + 1 / 6 * support[0], atol=1e-6)
    np.testing.assert_allclose(found[2], 0.2 * texts[2] + 0.8 * support[2], atol=1e-6)
    np.testing.assert_array_equal(found[1], texts[1])
    unit = blended_prototypes(texts, support, counts)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1.0, atol=1e-6)
    # At the ends: the queries alone, where there are any, and the text alone, to the last bit.
    queries = blended_prototypes(texts, support, counts, k0=0.0)
    np.testing.assert_allclose(queries[[0, 2]], support[[0, 2]], atol=1e-6)
    np.testing.assert_array_equal(queries[1], texts[1])
    np.testing.assert_array_equal(blended_prototypes(texts, support, counts, k0=np.inf), texts)


def test_what_cannot_be_is_refused(relevance):
    opposite = np.array([[1, 0], [-1, 0]], dtype=np.float32)
    both = sp.csr_matrix([[1.0], [1.0]])
    with pytest.raises(DataError, match=r"label 0 to have a mean with a direction.*cancel out \(1 such"):
        support_prototypes(opposite, both)
    assert not support_prototypes(opposite, both, normalised=False)[0].any()
    with pytest.raises(DataError, match="cancel out"):
        blended_prototypes(opposite[:1], opposite[1:], np.array([5]), k0=5.0)
    with pytest.raises(ConfigError, match=r"queries \[N, D\], relevance"):
        support_prototypes(units(2), relevance)
    with pytest.raises(ConfigError, match="at least the 3 labels of query 1"):
        support_prototypes(units(3), relevance, num_positives=np.array([2, 2, 1]))
    with pytest.raises(ConfigError, match="one shape"):
        blended_prototypes(units(2), units(3), np.array([1, 1]))
    for k0 in (-1.0, float("nan")):
        with pytest.raises(ConfigError, match="k0 to be 0 or more"):
            blended_prototypes(units(1), units(1), np.array([1]), k0=k0)
