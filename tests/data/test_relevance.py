from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from xmc.data.relevance import RelevanceBuilder, fold, load_matrix, matrix_digest
from xmc.errors import DataError


@given(st.lists(st.lists(st.tuples(st.integers(0, 8), st.floats(0, 4, width=16)), max_size=6), max_size=8))
def test_rows_against_a_dense_matrix(rows: list[list[tuple[int, float]]]) -> None:
    expected = np.zeros((len(rows), 9), dtype=np.float32)
    builder = RelevanceBuilder()
    for row, pairs in enumerate(rows):
        for label, value in pairs:
            expected[row, label] = max(expected[row, label], value)
        builder.add(*fold([label for label, _ in pairs], [value for _, value in pairs]))
    matrix = builder.build(9, "train")
    np.testing.assert_array_equal(matrix.toarray(), expected)
    assert matrix.dtype == np.float32 and matrix.nnz == np.count_nonzero(expected)
    matrix.check_format(full_check=True)
    assert matrix.has_canonical_format


def test_repeated_ids_are_folded() -> None:
    assert fold([3, 1, 3], None) == ([1, 3], [1.0, 1.0])
    assert fold([3, 1, 3, 2], [0.5, 1.0, 2.0, 0.0]) == ([1, 3], [1.0, 2.0])


@pytest.mark.parametrize(
    ("ids", "relevance", "message"),
    [
        ([-1], None, "label id between 0"),
        ([2**31], None, "label id between 0"),
        ([1.5], None, "integers"),
        ([1, 2], [1.0], "one relevance for each of 2 labels, got 1"),
        ([1], [-1.0], "finite relevance"),
        ([1], [float("nan")], "finite relevance"),
    ],
)
def test_impossible_rows(ids: list[int], relevance: list[float] | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fold(ids, relevance)


def test_label_out_of_range_names_its_row() -> None:
    builder = RelevanceBuilder()
    for ids in ([0], [], [1, 7]):
        builder.add(*fold(ids, None))
    with pytest.raises(DataError, match=r"train row 2 .* below 5, .* got 7"):
        builder.build(5, "train")


def test_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_matrix(tmp_path / "missing.npz")
    path = tmp_path / "m.npz"
    sp.save_npz(path, sp.csr_matrix(np.eye(50)))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"m\.npz: expected a sparse matrix"):
        load_matrix(path)


def test_indices_out_of_range_and_pickles_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    good = {"format": np.array(b"csr"), "indptr": np.array([0, 1]), "data": np.ones(1)}
    np.savez(path, indices=np.array([9]), shape=np.array([1, 3]), **good)
    with pytest.raises(DataError, match="sparse matrix"):
        load_matrix(path)
    np.savez(path, indices=np.array([{}], dtype=object), shape=np.array([1, 3]), **good)
    with pytest.raises(DataError, match="sparse matrix"):
        load_matrix(path)


def test_digest_sees_values_not_index_types() -> None:
    matrix = sp.csr_matrix(np.array([[1, 0, 2]], dtype=np.float32))
    wide = matrix.copy()
    wide.indptr, wide.indices = wide.indptr.astype(np.int64), wide.indices.astype(np.int64)
    assert matrix_digest(matrix) == matrix_digest(wide)
    assert matrix_digest(matrix) != matrix_digest(matrix * 2)
    assert matrix_digest(sp.csr_matrix((1, 3))) != matrix_digest(sp.csr_matrix((1, 4)))
