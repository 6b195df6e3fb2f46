from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmc.data.tables import TextOptions
from xmc.errors import ConfigError, DataError
from xmc.prediction import Query, read_queries


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_plain_text_is_one_query_a_line(tmp_path: Path) -> None:
    path = written(tmp_path, "q.txt", '\ufeffred boots\r\n\r\nblue, "soft" hat\n')
    assert list(read_queries(path)) == [
        Query("1", "red boots"),
        Query("2", ""),
        Query("3", 'blue, "soft" hat'),
    ]
    packed = written(tmp_path, "q.txt.gz", gzip.compress(b"red boots\n"))
    assert list(read_queries(packed)) == [Query("1", "red boots")]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("q.json", '[{"query": "red"}]', "JSON in one piece: write an object a line"),
        ("q.json", '{"query": "red"}\n{"query": "blue"}', "a JSON object a line: let its name end in .jsonl"),
        ("q.txt", '{"query": "red"}\n', "a JSON object a line: let its name end in .jsonl"),
        pytest.param("q.txt", '{"query": "' + 9000 * "r" + '"}\n', "a JSON object a line", id="a long line"),
        ("q.json.gz", gzip.compress(b'["red"]', mtime=0), "JSON in one piece"),
        ("q.xlsx", b"PK\x03\x04\x14\x00\xff", "a zip archive, as an Excel workbook is one"),
        ("q", b"PAR1\x00\x00", "a Parquet file"),
    ],
)
def test_other_files_are_not_taken_for_plain_text(
    tmp_path: Path, name: str, content: str | bytes, told: str
) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(DataError, match=f"{name}: expected plain text, .*, got {told}.*--format text"):
        read_queries(path)
    if isinstance(content, str):
        assert [query.text for query in read_queries(path, "text")] == content.splitlines()


@pytest.mark.parametrize("name", ["q.txt", "q.json.txt", "q.json.queries"])
def test_text_is_taken_as_it_begins(tmp_path: Path, name: str) -> None:
    for lines in (["[red] boots", "{a} hat"], ["PAR1 inhibitors", "Pk"], []):
        path = written(tmp_path, name, "".join(f"{line}\n" for line in lines))
        assert [query.text for query in read_queries(path)] == lines
    assert list(read_queries(written(tmp_path, "empty.json", ""))) == []


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere.txt: expected a file that can be read"):
        read_queries(tmp_path / "nowhere.txt")


def test_csv_has_a_header_quotes_and_line_breaks(tmp_path: Path) -> None:
    path = written(tmp_path, "q.csv", '\ufeffuid,query,n\r\na,"red, ""big""\nboots",1\r\nb,hat,2\r\n')
    assert list(read_queries(path)) == [Query("a", 'red, "big"\nboots'), Query("b", "hat")]
    assert [q.text for q in read_queries(path, column="n")] == ["1", "2"]


def test_the_limit_of_fields_is_left_as_it_was(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    for content in ("text\n" + "long " * 40_000 + "\n", 'text\n"open\n'):
        (tmp_path / "q.csv").write_text(content)
        try:
            assert len(list(read_queries(tmp_path / "q.csv"))) == 1
        except DataError:
            pass
        assert csv.field_size_limit() == before


def test_tsv_takes_title_and_content(tmp_path: Path) -> None:
    path = written(tmp_path, "q.tsv", "title\tcontent\nBoots\tred, big\nHat\t\n")
    assert list(read_queries(path)) == [Query("1", "Boots red, big"), Query("2", "Hat")]


def test_json_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "q.jsonl", '{"uid": 7, "text": "boots", "labels": []}\n\n{"query": "hat"}\n')
    assert list(read_queries(path)) == [Query("7", "boots"), Query("2", "hat")]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def given(content: bytes) -> None:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))

    given("grün\n".encode())
    assert list(read_queries("-")) == [Query("1", "grün")]
    given(b'{"text": "hat"}\n')
    assert list(read_queries("-", "jsonl")) == [Query("1", "hat")]
    given(b"uid;text\n7;'red; green'\n8;\"hat\n")
    assert list(read_queries("-", "csv", written=TextOptions(";", "'"))) == [
        Query("7", "red; green"),
        Query("8", '"hat'),
    ]
    given(b'text|n\n"hat|1\n')
    assert list(read_queries("-", "csv", written=TextOptions("|", None))) == [Query("1", '"hat')]
    given(b"hat\n\xff\n")
    with pytest.raises(DataError, match="standard input, line 2: expected UTF-8"):
        list(read_queries("-"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("q.csv", "a,b\n1,2\n", "q.csv: expected a column query, text, title or content, got 'a', 'b'"),
        (
            "q.csv",
            "text,n\nred, boots,1\n",
            "line 2: expected 2 fields between ','.* got 3 in",
        ),
        ("q.csv", 'text\n"red\n', "line 2: expected every quote to be closed"),
        ("q.csv", "", "q.csv: expected records, but the file is empty"),
        ("q.csv", b"text\nhat\ngr\xfcn\n", "line 3: expected utf-8"),
        ("q.tsv", "query\tquery\na\tb\n", "expected one column 'query', got 2"),
        ("q.parquet", "text\nhat\n", "q.parquet: expected a Parquet file"),
        ("q.jsonl", "{}\n", "line 1: expected a column query, text, title or content, got none"),
        ("q.jsonl", '{"text": "a", "uid": [1]}\n', r"line 1, uid: expected text, got \[1\]"),
        ("q.jsonl", '{"text": 3}\n', "line 1: expected the text to be a string, got 3"),
        ("q.jsonl", "[1]\n", "line 1: expected a JSON object, got list"),
        ("q.jsonl", '{"text": "a"}\n{"text"\n', "line 2: expected a JSON object a line"),
        ("q.txt", b"hat\n\xff\n", "line 2: expected UTF-8"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        list(read_queries(written(tmp_path, name, content)))


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    path = written(tmp_path, "q.csv", "text\nhat\n")
    with pytest.raises(DataError, match="column 'quer': expected it to be the query, .* the file has 'text'"):
        read_queries(path, column="quer")
    with pytest.raises(ConfigError, match="expected a column of CSV"):
        read_queries(written(tmp_path, "q.txt", "hat\n"), column="text")
    with pytest.raises(ConfigError, match="expected a format of text"):
        read_queries(path, "xml")
    lines = written(tmp_path, "q.jsonl", '{"text": "a", "other": "b"}\n{"text": "a"}\n')
    queries = read_queries(lines, column="other")
    assert next(queries) == Query("1", "b")
    with pytest.raises(DataError, match="line 2, column 'other': expected it to be the query"):
        next(queries)


def test_a_table_is_read_as_an_import_reads_it(tmp_path: Path) -> None:
    excel = written(tmp_path, "q.csv", 'sep=;\nuid;text\n7;"grün; rot"\n'.encode("utf-16"))
    assert list(read_queries(excel)) == [Query("7", "grün; rot")]
    packed = written(tmp_path, "q.csv.gz", gzip.compress(b"text\nhat\n"))
    assert list(read_queries(packed)) == [Query("1", "hat")]
    old = written(tmp_path, "old.csv", "text|n\ngrün|1\n".encode("cp1252"))
    assert list(read_queries(old, written=TextOptions("|", '"', "cp1252"))) == [Query("1", "grün")]
    pq.write_table(pa.table({"uid": [7.0, None], "query": ["a", "b"]}), tmp_path / "q.parquet")
    assert list(read_queries(tmp_path / "q.parquet")) == [Query("7", "a"), Query("2", "b")]
    for source, format in ((packed, "text"), (tmp_path / "q.jsonl", "auto"), ("-", "text")):
        with pytest.raises(ConfigError, match="expected --delimiter and --quote with CSV or TSV"):
            read_queries(source, format, written=TextOptions(";"))
    with pytest.raises(ConfigError, match="--encoding with a file that ends in .csv or .tsv only, .* for -"):
        read_queries("-", "csv", written=TextOptions(encoding="cp1252"))


def test_a_column_by_its_number_needs_no_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = "red hat,1\nblue,2\n"
    both = [Query("1", "red hat"), Query("2", "blue")]
    for name in ("q.csv", "q.dat"):
        path = written(tmp_path, name, plain)
        assert list(read_queries(path, "csv", "1")) == both
        headed = written(tmp_path, f"headed-{name}", f"text,n\n{plain}")
        assert list(read_queries(headed, "csv", "1")) == both
        assert list(read_queries(headed, "csv", "2"))[0].text == "1"
        other = written(tmp_path, f"other-{name}", f"Suchwort,n\n{plain}")
        assert list(read_queries(other, "csv", "1", header=True)) == both
        assert [query.text for query in read_queries(other, "csv", "1")] == ["Suchwort", "red hat", "blue"]
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(plain.encode())))
    assert list(read_queries("-", "csv", "1")) == both
    with pytest.raises(DataError, match="by its number where there is no header"):
        read_queries(written(tmp_path, "q.csv", plain))
    with pytest.raises(ConfigError, match="expected --header with CSV or TSV only"):
        read_queries(written(tmp_path, "q.jsonl", "{}"), header=True)


def test_a_format_that_the_ending_does_not_say(tmp_path: Path) -> None:
    path = written(tmp_path, "q.dat", 'query\tn\n"red\nboots"\t1\n')
    assert list(read_queries(path, "tsv")) == [Query("1", "red\nboots")]
    with pytest.raises(DataError, match="q.dat, line 3: expected 1 columns as in the header, got 2"):
        list(read_queries(written(tmp_path, "q.dat", "query\n\nred, boots\n"), "csv"))


def test_the_fields_of_the_model_make_the_text(tmp_path: Path) -> None:
    path = written(tmp_path, "q.csv", "title,content\nBoots,red\n")
    rows = written(tmp_path, "q.jsonl", '{"title": "Boots", "content": "red"}\n')
    for source in (path, rows):
        assert [q.text for q in read_queries(source, fields=("title",))] == ["Boots"]
        assert [q.text for q in read_queries(source, fields=("content", "title"))] == ["red Boots"]
    with pytest.raises(DataError, match="expected a column query, text or content, got 'title'"):
        read_queries(written(tmp_path, "t.csv", "title\nBoots\n"), fields=("content",))


def test_an_empty_value_is_an_empty_text(tmp_path: Path) -> None:
    path = written(tmp_path, "q.jsonl", '{"text": null}\n{"text": "red"}\n{"query": null, "title": "hat"}\n')
    assert [query.text for query in read_queries(path)] == ["", "red", "hat"]
    path = written(tmp_path, "t.jsonl", '{"text": null}\n{"text": "red"}\n')
    assert [query.text for query in read_queries(path, column="text")] == ["", "red"]
    pq.write_table(pa.table({"query": ["hat", None]}), tmp_path / "q.parquet")
    assert [query.text for query in read_queries(tmp_path / "q.parquet")] == ["hat", ""]


def test_a_column_of_the_training_table_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = "Suchwort;text;n\nred hat;sold by us;1\n"
    path = written(tmp_path, "q.csv", plain)
    assert [q.text for q in read_queries(path, fields=("title",))] == ["sold by us"]
    assert [q.text for q in read_queries(path, fields=("title",), columns=("such wort",))] == ["red hat"]
    assert [q.text for q in read_queries(path, "csv", "n", columns=("Suchwort",))] == ["1"]
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(plain.encode())))
    told = read_queries("-", "csv", columns=("Suchwort",), written=TextOptions(";"))
    assert [q.text for q in told] == ["red hat"]
    rows = written(tmp_path, "q.jsonl", '{"Suchwort": "red", "text": "x"}\n{"text": "blue"}\n')
    assert [q.text for q in read_queries(rows, columns=("Suchwort",))] == ["red", "blue"]
    with pytest.raises(DataError, match="expected a column Suchwort, query, text or title, got 'a'"):
        read_queries(written(tmp_path, "q.csv", "a\n1\n"), fields=("title",), columns=("Suchwort",))


def test_more_text_of_a_query_is_read_where_the_model_reads_it(tmp_path: Path) -> None:
    path = written(tmp_path, "q.csv", "query,query_content,content\nhat,red,no\n")
    assert [q.text for q in read_queries(path)] == ["hat red"]
    assert [q.text for q in read_queries(path, fields=("title",))] == ["hat"]
    own = written(tmp_path, "own.csv", "Titel,Text\nhat,red\n")
    assert [q.text for q in read_queries(own, columns=("Titel", "Text"))] == ["hat red"]
    usual = written(tmp_path, "usual.csv", "title,content\nhat,red\n")
    for columns in (("Titel", "Text"), ("title", "body"), ("title", "content")):
        assert [q.text for q in read_queries(usual, columns=columns)] == ["hat red"]
    mixed = written(tmp_path, "mixed.csv", "Titel,content\nhat,red\n")
    assert [q.text for q in read_queries(mixed, columns=("Titel", "content"))] == ["hat red"]


def test_queries_are_named_as_those_of_clicks(tmp_path: Path) -> None:
    for name in ("uid", "query_uid", "qid"):
        path = written(tmp_path, "q.csv", f"{name},query\nx,red\n")
        assert list(read_queries(path)) == [Query("x", "red")]
