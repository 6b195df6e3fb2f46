from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmc.data.tables import TextOptions, csv_source
from xmc.data.tables.sources import open_source
from xmc.errors import DataError

Write = Callable[..., Path]


def rows(path: Path, places: list[int], header: bool = True, **options: object) -> list[tuple[object, ...]]:
    source = open_source(path, TextOptions(**options))  # type: ignore[arg-type]
    return list(source.records(places, header=header, progress=False))


def test_csv_fields_are_text_as_it_stands(write: Write) -> None:
    path = write("a.csv", '\ufeff"q\r\nx",n,l\r\n"a ""b""\r\nc",1,00123\r\n\r\nNA,,null\r\n')
    assert rows(path, [0, 2]) == [('a "b"\r\nc', "00123"), ("NA", "null")]
    assert rows(path, [1, 0])[0] == ("1", 'a "b"\r\nc')


def test_blocks_smaller_than_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_source, "_BLOCK_BYTES", 64)
    text = "query,label\n" + "".join(f'"a\n{number}",x\n' for number in range(500))
    path = write("a.csv.gz", gzip.compress(text.encode()))
    assert [row[0] for row in rows(path, [0, 1])] == [f"a\n{number}" for number in range(500)]
    bad = write("b.csv", text + "one,two,three\n")
    with pytest.raises(DataError, match=r"b\.csv, line 1002: expected 2 fields .* got 3 in 'one,two,three'"):
        rows(bad, [0, 1])


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_other_encodings(encoding: str, write: Write) -> None:
    path = write("a.csv", "q;l\r\nSchühe;x\r\n".encode(encoding))
    assert rows(path, [0], encoding=None if encoding == "utf-16" else encoding) == [("Schühe",)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('q,l\na,b\n"c\nd",e,f\n', r"line 3: expected 2 fields between ',', as in the first line, got 3"),
        ("q,l\na,b\nc\n", "line 3: expected 2 fields .* got 1 in 'c'"),
        ('q,l\na,b\nc,"d\ne,f\ng,h\n', "line 3: expected every quote to be closed"),
        ('q,l\na,b\n"c,d\ne,f\n', "line 3: expected every quote to be closed"),
        # In columns that are not read: what follows the quote would be lost with them.
        ('q,l,note\na,b,c\nd,e,"f\ng,h,i\n', "line 3: expected every quote to be closed"),
        ('q,l,note\ra,b,c\rd,e,"f\rg,h,i\r', "line 3: expected every quote to be closed"),
        ("q,l\n" + "a,b\n" * 70_000 + "Schühe,x\n", "line 70002: expected utf-8"),
    ],
)
def test_errors_of_csv_name_their_line(content: str, message: str, write: Write) -> None:
    path = write("a.csv", content.encode("cp1252"))
    with pytest.raises(DataError, match=message):
        rows(path, [0, 1])


def test_a_quote_that_opens_a_record_larger_than_a_block(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_source, "_BLOCK_BYTES", 256)
    path = write("a.csv", "q,l\n" + "a,b\n" * 100 + '"c,d\n' + "e,f\n" * 1000)
    with pytest.raises(DataError, match=r"line \d+: expected every quote to be closed.*--quote none"):
        rows(path, [0, 1])
    assert len(rows(path, [0, 1], quote=None)) == 1101


def test_columns_that_are_not_read_may_be_of_any_bytes(write: Write) -> None:
    path = write("a.csv", b"q,note,l\na," + b"x" * (1 << 18) + b"\xfc,b\n")
    assert rows(path, [2, 0]) == [("b", "a")]


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf-16-le"])
def test_an_encoding_that_is_told_of_a_file_with_its_mark(encoding: str, write: Write) -> None:
    path = write("a.csv", "\ufeffquery,label\nred,x\n".encode(encoding))
    assert rows(path, [0], encoding=encoding, header=False) == [("query",), ("red",)]
    assert open_source(path, TextOptions(encoding=encoding)).sample[0] == ("query", "label")


def test_lines_before_the_first_record_may_be_empty(write: Write) -> None:
    for text in ("\r\n \t\r\nquery,label\r\nred,x\r\nblue\r\n", "\nsep=,\nquery,label\nred,x\nblue\n"):
        path = write("a.csv", text)
        assert open_source(path, TextOptions()).sample[0] == ("query", "label")
        with pytest.raises(DataError, match="line 5: expected 2 fields"):
            rows(path, [0])


def test_keys_that_come_late(write: Write) -> None:
    path = write("a.jsonl", '{"query": "a"}\n' * 300 + '{"query": "b", "label": "x"}\n')
    assert open_source(path, TextOptions()).names == ["query", "label"]


def test_json_lines_and_parquet(tmp_path: Path, write: Write) -> None:
    records = [{"query": "a", "labels": ["x", "y"]}, {"query": "b", "extra": 1, "labels": None}]
    path = write("a.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    source = open_source(path, TextOptions())
    assert source.names == ["query", "labels", "extra"] and source.place(2) == f"{path}, line 2"
    assert rows(path, [1, 0, 2]) == [(["x", "y"], "a", None), (None, "b", 1)]
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet", [1, 0]) == [(["x", "y"], "a"), (None, "b")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"q": 1}\n[1]\n', r"line 2: expected a JSON object, got '\[1\]'$"),
        ("a.jsonl", '[{"q": 1}, {"q": 2}]\n', r"line 1: expected a JSON object, .*jq -c '\.\[\]' file"),
        ("a.jsonl", '[\n{"q": 1}\n]\n', r"line 1: expected one JSON object per line .*jq -c '\.\[\]' file"),
        ("a.jsonl", '{"q": 1}\n[\n', r"line 2: expected one JSON object per line .*, got '\['$"),
        ("a.json", '[{"q": 1}]', r"expected JSON Lines, one object a line .*jq -c '\.\[\]' file\.json > "),
        ("a.json.gz", "x", "expected JSON Lines, one object a line in a file whose name ends in .jsonl"),
        ("a.jsonl", "", "the file is empty"),
        ("a.parquet", "PAR1 nonsense", "expected a Parquet file"),
        ("a.xlsx", "x", "expected a file whose name ends in .csv"),
    ],
)
def test_files_of_no_use(name: str, content: str, message: str, write: Write) -> None:
    with pytest.raises(DataError, match=message):
        rows(write(name, content), [0])
    with pytest.raises(DataError, match="found none at"):
        rows(Path("nowhere.csv"), [0])
