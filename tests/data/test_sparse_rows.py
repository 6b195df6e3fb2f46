from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.data.relevance import save_matrix
from xmc.data.sparse_rows import SparseRows
from xmc.errors import DataError


@pytest.fixture
def matrix() -> sp.csr_matrix:
    """[7, 9] with an empty row and an empty column."""
    generator = np.random.default_rng(0)
    dense = generator.normal(size=(7, 9)) * (generator.random((7, 9)) < 0.4)
    dense[3], dense[:, 5] = 0, 0
    return sp.csr_matrix(dense.astype(np.float32))


def test_what_is_saved_is_read(tmp_path: Path, matrix: sp.csr_matrix) -> None:
    save_matrix(tmp_path / "m.npz", matrix)
    found = SparseRows.read(tmp_path / "m.npz")
    np.testing.assert_array_equal(found.scipy().toarray(), matrix.toarray())
    assert found.shape == (7, 9) and found.data.dtype == np.float32


@pytest.mark.parametrize("kind", ["csc", "coo"])
def test_other_formats_and_orders_are_put_in_order(tmp_path: Path, matrix: sp.csr_matrix, kind: str) -> None:
    sp.save_npz(tmp_path / "m.npz", matrix.asformat(kind))
    np.testing.assert_array_equal(SparseRows.read(tmp_path / "m.npz").scipy().toarray(), matrix.toarray())
    twice = sp.csr_matrix(
        (np.ones(3, dtype=np.float32), np.array([2, 0, 2]), np.array([0, 3, 3])), shape=(2, 3)
    )
    sp.save_npz(tmp_path / "twice.npz", twice)
    for found in (SparseRows.read(tmp_path / "twice.npz"), SparseRows.of(twice)):
        assert found.indices.tolist() == [0, 2] and found.data.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("indices", np.array([9, 0], dtype=np.int32)),
        ("indices", np.array([-1, 0], dtype=np.int32)),
        ("indptr", np.array([0, 2, 1], dtype=np.int32)),
        ("indptr", np.array([0, 1], dtype=np.int32)),
        ("data", np.array([1.0], dtype=np.float32)),
        ("shape", np.array([2])),
    ],
)
def test_matrices_that_cannot_be(tmp_path: Path, part: str, value: np.ndarray) -> None:
    parts = {
        "indices": np.array([0, 1], dtype=np.int32),
        "indptr": np.array([0, 1, 2], dtype=np.int32),
        "data": np.array([1.0, 2.0], dtype=np.float32),
        "shape": np.array([2, 3]),
        "format": np.array(b"csr"),
    }
    np.savez(tmp_path / "m.npz", **{**parts, part: value})
    with pytest.raises(DataError, match=r"m\.npz"):
        SparseRows.read(tmp_path / "m.npz")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.npz"):
        SparseRows.read(tmp_path / "none.npz")
    np.savez(tmp_path / "m.npz", data=np.ones(2))
    with pytest.raises(DataError, match=r"m\.npz"):
        SparseRows.read(tmp_path / "m.npz")


def test_products(matrix: sp.csr_matrix) -> None:
    other = sp.csr_matrix(
        np.arange(36, dtype=np.float32).reshape(9, 4) * (np.arange(36).reshape(9, 4) % 3 > 0)
    )
    found = SparseRows.of(matrix).times(SparseRows.of(other))
    np.testing.assert_array_equal(found, (matrix @ other).toarray())
    for wrong in (4, -1):
        broken = SparseRows.of(other)._replace(indices=np.full(other.nnz, wrong, dtype=np.int32))
        with pytest.raises(IndexError):
            SparseRows.of(matrix).times(broken)


def test_weighted_sums_of_rows(matrix: sp.csr_matrix) -> None:
    ids = np.array([[0, 3, 6], [2, -1, -1], [-1, -1, -1], [5, 5, 1]])
    weights = np.random.default_rng(1).normal(size=ids.shape)
    dense = matrix.toarray().astype(np.float64)
    expected = np.where((ids >= 0)[:, :, None], weights[:, :, None] * dense[ids], 0).sum(axis=1)
    found = SparseRows.of(matrix).weighted(ids, weights)
    np.testing.assert_allclose(found.scipy().toarray(), expected, atol=1e-12)
    assert found.scipy().has_canonical_format


def test_pairs_are_left_out(matrix: sp.csr_matrix) -> None:
    barred = sp.csr_matrix(np.random.default_rng(2).random((7, 9)) < 0.5)
    found = SparseRows.of(matrix).without(SparseRows.of(barred)).scipy()
    np.testing.assert_array_equal(found.toarray(), np.where(barred.toarray(), 0, matrix.toarray()))
    zeros = SparseRows.of(barred)._replace(data=np.zeros(barred.nnz))
    assert SparseRows.of(matrix).without(zeros).scipy().nnz == matrix.nnz


def test_only_some_places_are_kept(matrix: sp.csr_matrix) -> None:
    kept = matrix.data > 0
    np.testing.assert_array_equal(
        SparseRows.of(matrix).where(kept).scipy().toarray(), np.maximum(matrix.toarray(), 0)
    )


def test_columns_are_numbered_among_themselves(matrix: sp.csr_matrix) -> None:
    kept = np.array([0, 3, 5, 8])
    found = SparseRows.of(matrix).columns(kept)
    assert found.shape == (7, 4)
    np.testing.assert_array_equal(found.scipy().toarray(), matrix.toarray()[:, kept])
    none = SparseRows.of(matrix).columns(np.array([], dtype=np.int64))
    assert none.shape == (7, 0) and len(none.data) == 0
