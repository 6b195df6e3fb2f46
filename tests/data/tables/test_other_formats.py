from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmc.data.tables.dialect import sniff
from xmc.data.tables.other_formats import refuse_other_format
from xmc.errors import DataError

CLICKS = "query,label\nred,shoes\n"


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"query": ["red"], "label": ["shoes"]}), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (parquet(), "expected CSV or TSV, got a Parquet file: let its name end in .parquet"),
        (b"PK\x03\x04\x14\x00abc,def\n", "got a zip archive, .* save the sheet as CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1,", "got an Excel workbook: save its sheet"),
        (b"BZh91AY&SY,", "packed by bzip2: unpack it, or pack it with gzip"),
        (b'\n{"query": "red, blue", "label": "shoes"}\n{', "got a JSON object a line: .* end in .jsonl"),
        (gzip.compress(b'{"query": "red"}'), "got a JSON object a line"),
        (CLICKS.encode("utf-16-le"), "UTF-16 without a byte order mark: say so .--encoding utf-16-le"),
        (CLICKS.encode("utf-16-be"), "--encoding utf-16-be"),
        ("query,label\n红色跑鞋,حذاء\n".encode("utf-16-le"), "--encoding utf-16-le"),
    ],
    ids=range(9),
)
def test_what_is_called_csv_and_is_none(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.csv: expected CSV or TSV, got .*{message.split('got ')[-1]}"):
        sniff(tmp_path / "a.csv")


@pytest.mark.parametrize(
    "content",
    [
        CLICKS.encode(),
        CLICKS.encode("utf-16"),
        "query,label\n红色跑鞋,حذاء 😀\n".encode(),
        b"{red},shoes\n",
        b'{"red,shoes\n',
        json.dumps(["red", "shoes"]).encode(),
        b"red\x00,shoes\n",
        b"Parquet,label\n",
    ],
    ids=range(8),
)
def test_what_may_be_a_table(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    assert sniff(tmp_path / "a.csv").sample


def test_an_encoding_that_is_told_is_believed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CLICKS.encode("utf-16-le"))
    assert sniff(tmp_path / "a.csv", encoding="utf-16-le").sample[0] == ("query", "label")
    refuse_other_format(tmp_path / "a.csv", b"", None)
