from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from xmc.data import labelled_rows, train_validation_split
from xmc.errors import ConfigError


def _relevance(counts: list[int]) -> sp.csr_matrix:
    matrix = np.zeros((len(counts), 5), dtype=np.float32)
    for row, count in enumerate(counts):
        matrix[row, :count] = 1
    return sp.csr_matrix(matrix)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(0, 40), st.integers(0, 2**31))
def test_parts_are_disjoint_labelled_and_complete(counts: list[int], held_out: int, seed: int) -> None:
    labelled = {row for row, count in enumerate(counts) if count}
    if held_out >= max(len(labelled), 1) or not labelled:
        with pytest.raises(ConfigError):
            train_validation_split(_relevance(counts), held_out, seed)
        return
    train, validation = train_validation_split(_relevance(counts), held_out, seed)
    assert len(validation) == held_out
    assert set(train) | set(validation) == labelled and not set(train) & set(validation)
    assert list(train) == sorted(train) and list(validation) == sorted(validation)


def test_seed_decides() -> None:
    relevance = _relevance([1] * 100)
    first = train_validation_split(relevance, 20, 1)[1]
    np.testing.assert_array_equal(first, train_validation_split(relevance, 20, 1)[1])
    assert not np.array_equal(first, train_validation_split(relevance, 20, 2)[1])


def test_labelled_rows() -> None:
    assert labelled_rows(_relevance([0, 2, 0, 1])).tolist() == [1, 3]
