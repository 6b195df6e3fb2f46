from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from xmc.data.arrow_rows import ArrowRows


@pytest.fixture
def rows(tmp_path: Path) -> ArrowRows:
    """Ten rows in batches of four, none and six."""
    schema = pa.schema([("uid", pa.string()), ("text", pa.string())])
    with pa.OSFile(str(tmp_path / "rows.arrow"), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for some in (range(4), range(0), range(4, 10)):
            columns = [[f"u{row}" for row in some], [f"text {row}" for row in some]]
            writer.write_batch(pa.record_batch(columns, schema=schema))
    return ArrowRows(tmp_path / "rows.arrow")


@pytest.mark.parametrize("part", [(0, 10), (0, 0), (10, 10), (3, 4), (3, 5), (4, 10), (2, 9)])
def test_rows_between(rows: ArrowRows, part: tuple[int, int]) -> None:
    uids, texts = rows.between(*part, ["uid", "text"])
    assert uids == [f"u{row}" for row in range(*part)] and texts == [f"text {row}" for row in range(*part)]


@pytest.mark.parametrize("wanted", [[], [0], [9, 0, 9, 3, 4], list(range(10))])
def test_rows_in_any_order(rows: ArrowRows, wanted: list[int]) -> None:
    texts, uids = rows.at(np.array(wanted, dtype=np.int64), ["text", "uid"])
    assert uids == [f"u{row}" for row in wanted] and texts == [f"text {row}" for row in wanted]


def test_another_process_maps_the_file_itself(rows: ArrowRows) -> None:
    again = pickle.loads(pickle.dumps(rows))
    assert len(again) == len(rows) == 10 and again.names == ["uid", "text"]


def test_a_file_that_is_cut_is_refused(rows: ArrowRows, tmp_path: Path) -> None:
    whole = (tmp_path / "rows.arrow").read_bytes()
    (tmp_path / "cut.arrow").write_bytes(whole[: len(whole) // 2])
    with pytest.raises((OSError, pa.ArrowException)):
        ArrowRows(tmp_path / "cut.arrow")
