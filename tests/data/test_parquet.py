from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmc.data import parquet
from xmc.data.parquet import open_parquet, parquet_rows
from xmc.limits import MAX_LINE_BYTES


def write(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_rows_come_in_order_whatever_their_texts_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_SLICE_BYTES", 50)
    rows = [{"text": "x" * (i % 40), "labels": ["l"] * (i % 3), "n": i} for i in range(5000)]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    with open_parquet(path, ["text", "labels"]) as file:
        batches = list(parquet_rows(file, ["text", "labels", "n"], 1000))
    assert [row for batch in batches for row in batch] == rows
    sizes = [sum(len(row["text"]) + len(row["labels"]) for row in batch) for batch in batches]
    assert len(batches) > 1000 and all(
        size <= 50 or len(batch) == 1 for size, batch in zip(sizes, batches, strict=True)
    )


def test_nulls_and_empty_lists_have_no_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", text=["a", None], labels=pa.array([None, ["b", None]]))
    with open_parquet(path, ["text", "labels"]) as file:
        assert list(parquet_rows(file, ["text", "labels"], 1000)) == [
            [{"text": "a", "labels": None}, {"text": None, "labels": ["b", None]}]
        ]


def test_a_text_longer_than_any_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", text=["x" * (MAX_LINE_BYTES + 1)])
    with open_parquet(path, ["text"]) as file, pytest.raises(ValueError, match="bytes of text"):
        list(parquet_rows(file, ["text"], 1000))


def test_columns_of_other_types_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", text=pa.array([{"a": "x"}]))
    with open_parquet(path, ["text"]) as file, pytest.raises(ValueError, match="its column text is struct"):
        list(parquet_rows(file, ["text"], 1000))
    twice = pa.Table.from_arrays([pa.array(["x"])] * 2, names=["text", "text"])
    pq.write_table(twice, path)
    with pytest.raises(ValueError, match="its column text is there twice"):
        open_parquet(path, ["text"])


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary()])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "dictionary"])
def test_bytes_of_texts_are_counted_in_slices_and_with_nulls(kind: pa.DataType, packed: bool) -> None:
    texts = ["a", None, "äö", "", "abcdef", None, "b"] * 3
    array = pa.array(texts, pa.string()).cast(kind)
    array = array.dictionary_encode() if packed else array
    expected = [len(text.encode()) if text else 0 for text in texts]
    for start, count in ((0, 21), (3, 11), (21, 0)):
        found = parquet._text_bytes("column", array.slice(start, count))
        assert found.tolist() == expected[start : start + count]
