from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmc.data import Dataset, DatasetWriter
from xmc.data.texts import TextColumn, open_table
from xmc.errors import DataError


@pytest.fixture
def column(tmp_path: Path) -> TextColumn:
    with DatasetWriter(tmp_path / "d", name="d") as writer:
        writer.add_label("l", "l")
        for row in range(9000):
            writer.add_row("train", str(row), f"t{row}" if row % 2 else "", f"c{row}" if row % 3 else "", [0])
    return Dataset.load(tmp_path / "d").texts("train")


def _expected(row: int) -> str:
    return " ".join(part for part in (f"t{row}" if row % 2 else "", f"c{row}" if row % 3 else "") if part)


def test_fields_are_joined_and_empty_ones_left_out(column: TextColumn) -> None:
    assert [column[0], column[2], column[3], column[5]] == ["", "c2", "t3", "t5 c5"]


def test_every_way_to_index(column: TextColumn) -> None:
    everything = [_expected(row) for row in range(9000)]
    assert len(column) == 9000 and list(column) == everything and column[:] == everything
    assert column[-1] == everything[-1] == column[np.int64(8999)]
    for piece in (slice(8190, 8195), slice(10, 5), slice(-3, None), slice(20, 2, -7), slice(9000, None)):
        assert column[piece] == everything[piece]
    rows = np.random.default_rng(0).integers(-9000, 9000, 500)
    assert column[rows] == [everything[row] for row in rows] == column[rows.tolist()]
    mask = np.zeros(9000, dtype=bool)
    mask[[4, 8999]] = True
    assert column[mask] == [everything[4], everything[8999]]
    assert column[np.array([], dtype=int)] == [] == column[[]]


@pytest.mark.parametrize("key", [9000, -9001, [0, 9000]])
def test_out_of_range(column: TextColumn, key: int) -> None:
    with pytest.raises(IndexError, match="between -9000 and 8999"):
        column[key]


def test_an_empty_table(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "d", name="d") as writer:
        writer.add_label("l", "l")
    column = Dataset.load(tmp_path / "d").texts("test")
    assert len(column) == 0 and list(column) == [] and column[:] == []


def test_cache_is_memory_mapped_beside_the_parquet_file_and_made_once(build: Callable[..., Dataset]) -> None:
    dataset = build([[0], [1]])
    before = pa.total_allocated_bytes()
    assert dataset.texts("train")[0] == "query 0 content 0"
    (arrow,) = (dataset.path / "cache").iterdir()
    stamp = arrow.stat().st_mtime_ns
    assert Dataset.load(dataset.path).texts("train", ["content"])[:] == ["content 0", "content 1"]
    assert arrow.stat().st_mtime_ns == stamp
    assert pa.total_allocated_bytes() - before < 10_000


def test_fingerprint_names_content_and_fields(build: Callable[..., Dataset]) -> None:
    one, same, other = build([[0]], "one"), build([[0]], "same"), build([[0], [1]], "other")
    assert one.texts("train").fingerprint == same.texts("train").fingerprint
    assert one.texts("train").fingerprint != other.texts("train").fingerprint
    assert one.texts("train").fingerprint != one.texts("train", ["title"]).fingerprint


def test_where_the_folder_cannot_be_written_the_users_cache_serves(
    build: Callable[..., Dataset],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    dataset, other = build([[0]]), build([[0]], "other")
    assert other.texts("train")[0]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    assert dataset.texts("train")[0] == "query 0 content 0"
    assert not (dataset.path / "cache").exists()
    (arrow,) = (tmp_path / "home" / "xmc" / "cache").iterdir()
    assert arrow.suffix == ".arrow" and f"{dataset.path / 'cache'} cannot be written" in caplog.text
    assert str(tmp_path / "home") in caplog.text
    # What is beside the data set already is read from there.
    assert Dataset.load(other.path).texts("train")[0] and len(caplog.records) == 1


def test_not_a_table_of_texts(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(DataError, match=r"x\.parquet: expected columns"):
        open_table(path, "0" * 64)
    path.write_bytes(b"PAR1 nonsense")
    with pytest.raises(DataError, match=r"x\.parquet: expected a Parquet file"):
        open_table(path, "1" * 64)
    assert not any((tmp_path / "cache").iterdir())
