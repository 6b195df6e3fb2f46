from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmc.retrieval import exact_search, search_by_size


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 15), st.integers(0, 1000), st.sampled_from([0.0, 0.5]))
def test_the_largest_sizes_of_all(num_labels, k, seed, shift):
    random = np.random.default_rng(seed)
    # Few distinct numbers, so that sizes are equal often.
    queries, labels = (random.integers(-2, 3, (n, 2)).astype(np.float32) for n in (4, num_labels))
    offsets = np.full(num_labels, shift, dtype=np.float32)
    ids, sizes = search_by_size(
        lambda sign: exact_search(np.float32(sign) * queries, labels, k, offsets=np.float32(sign) * offsets)
    )
    scores = np.abs(queries @ labels.T + shift)
    width = min(k, num_labels)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :width]
    np.testing.assert_array_equal(ids[:, :width], expected)
    np.testing.assert_allclose(sizes[:, :width], np.take_along_axis(scores, expected, 1))
    assert (ids[:, width:] == -1).all() and (sizes[:, width:] == -np.inf).all()


def test_one_search_alone_would_not_do():
    queries, labels = np.array([[1.0]], np.float32), np.array([[0.5], [-2.0], [0.1]], np.float32)
    ids, sizes = search_by_size(lambda sign: exact_search(np.float32(sign) * queries, labels, 1))
    assert ids.tolist() == [[1]] and sizes[0, 0] == pytest.approx(2.0)
