from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

from xmc.distillation.file import TeacherFacts, TeacherFile, write_teachers
from xmc.distillation.table import TeacherTable
from xmc.errors import ConfigError, DataError

N, L = 7, 9
FACTS = TeacherFacts("words", "print", N, L, ("a", "b"), ("1", "2"), 3, 0)


def told(seed: int = 0) -> sp.csr_matrix:
    draw = np.random.default_rng(seed)
    shares = np.where(draw.random((N, L)) < 0.5, draw.random((N, L)), 0)
    shares[3] = 0
    return sp.csr_matrix((shares / np.maximum(shares.sum(1, keepdims=True), 1e-9) * 0.9).astype(np.float32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with write_teachers(tmp_path / "t.parquet", FACTS) as file:
        file.add(told()[:4])
        file.add(told()[4:])
    return tmp_path / "t.parquet"


def test_what_is_written_is_read(path: Path) -> None:
    found = TeacherFile.open(path)
    assert found.facts == FACTS and found.num_pairs == told().nnz + 1
    blocks = list(found.blocks())
    assert blocks[0][0] == 0 and sum(part.shape[0] for _, part in blocks) == N
    np.testing.assert_array_equal(sp.vstack([part for _, part in blocks]).toarray(), told().toarray())


def test_the_fingerprint_is_of_the_content_and_not_of_names() -> None:
    assert replace(FACTS, teachers=("x", "y")).fingerprint == FACTS.fingerprint
    for change in (
        {"fingerprints": ("1", "3")},
        {"top": 4},
        {"temperature": 2.0},
        {"dataset_fingerprint": "o"},
    ):
        assert replace(FACTS, **change).fingerprint != FACTS.fingerprint  # type: ignore[arg-type]


def test_too_few_rows_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected 7 rows of teachers, got 4"):
        with write_teachers(tmp_path / "t.parquet", FACTS) as file:
            file.add(told()[:4])
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_byte_is_found(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[30] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"t\.parquet: expected a file of teachers"):
        list(TeacherFile.open(path).blocks())


@pytest.mark.parametrize(
    ("labels", "probabilities", "text"),
    [
        ([[0, 9]], [[0.1, 0.2]], r"row 0: a label id is not in \[0, 9\)"),
        ([[2, 1]], [[0.1, 0.2]], "row 0: label ids do not ascend"),
        ([[1, 1]], [[0.1, 0.2]], "row 0: label ids do not ascend"),
        ([[1, 2]], [[0.1, 0.0]], "row 0: a probability is not in"),
        ([[1, 2]], [[0.1, float("nan")]], "row 0: a probability is not in"),
        ([[1, 2]], [[0.7, 0.7]], "row 0: the probabilities add up to more than 1"),
        ([[1, 2]], [[0.7]], "not as many probabilities as labels"),
    ],
)
def test_what_is_no_distribution_is_refused(
    tmp_path: Path, labels: list[list[int]], probabilities: list[list[float]], text: str
) -> None:
    schema = pa.schema([("labels", pa.list_(pa.int32())), ("probabilities", pa.list_(pa.float32()))])
    facts = json.dumps({**FACTS.__dict__, "num_rows": 1}).encode()
    table = pa.table([labels, probabilities], schema=schema.with_metadata({b"xmc.teachers": facts}))
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(DataError, match=text):
        list(TeacherFile.open(tmp_path / "t.parquet").blocks())


def test_other_files_are_refused(tmp_path: Path, path: Path, dataset) -> None:  # type: ignore[no-untyped-def]
    pq.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="it has the columns x"):
        TeacherFile.open(tmp_path / "other.parquet")
    with pytest.raises(DataError, match="found no such file"):
        TeacherFile.open(tmp_path / "none.parquet")
    with pytest.raises(ConfigError, match=r"distillation.teachers: expected probabilities for words"):
        TeacherFile.of(str(path), dataset)
    assert TeacherFile.of(None, dataset) is None


def test_rows_are_read_from_mapped_files(tmp_path: Path, path: Path) -> None:
    rows, positives = np.array([0, 2, 3, 6]), np.zeros((4, L))
    positives[0, told()[0].indices[0]] = positives[3, 0] = 1
    folder = tmp_path / "table"
    TeacherTable.unpack(folder, TeacherFile.open(path), rows, sp.csr_matrix(positives))
    table = TeacherTable.open(folder, L)
    assert isinstance(table.probabilities.data, np.memmap)
    np.testing.assert_array_equal(table.probabilities.toarray(), told()[rows].toarray())
    expected = (told()[rows].toarray() > 0) & (positives == 0)
    np.testing.assert_array_equal(table.brought.toarray(), expected)
    chosen = np.array([3, 1, 1])
    np.testing.assert_array_equal(table.probabilities[chosen].toarray(), told()[rows[chosen]].toarray())
    np.testing.assert_array_equal(table.brought[chosen].toarray(), expected[chosen])
    TeacherTable.remove(folder)
    assert not folder.exists()
