from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from xmc.data.tables import TableFiles, import_tables
from xmc.data.tables.dialect import line_of, quote_left_open, sniff
from xmc.errors import ConfigError, DataError

Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("name", "text", "delimiter"),
    [
        ("a.csv", "query,label\nred; blue,shoes\n", ","),
        ("a.csv", "query;label\nred, blue;shoes\ngreen;hats\n", ";"),
        ("a.csv", "query\tlabel\nred, blue\tshoes\n", "\t"),
        ("a.csv", "query|label\nred|shoes\n", "|"),
        ("a.csv", "query,labels\nred,a|b\nblue,a\n", ","),
        ("a.tsv", "red, blue\tshoes\ngreen, teal\thats\n", "\t"),
        ("a.csv", 'query;label\n"a;b,c\nd";x\n', ";"),
        ("a.csv", "title\nshoes\n", ","),
        ("a.csv", "query;labels\nred;a|b\nblue &amp; green;a|b\ngrey;b|c\n", ";"),
        ("a.csv", "query;label;weight\nred;a;1,5\nblue &amp; green;b;2,5\n", ";"),
        ("a.csv", "Export of 2024\nquery;label\nred;a\nblue;b\n", ";"),
    ],
)
def test_the_delimiter_is_seen(name: str, text: str, delimiter: str, write: Write) -> None:
    assert sniff(write(name, text)).delimiter == delimiter


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_the_encoding_is_told_by_its_mark(encoding: str, write: Write) -> None:
    text = "query;label\r\nrote Schühchen;Schuhe\r\n"
    marked = ("\ufeff" if encoding == "utf-16-le" else "") + text
    dialect = sniff(write("a.csv", marked.encode(encoding)))
    assert dialect.sample == (("query", "label"), ("rote Schühchen", "Schuhe"))


def test_gzip_and_excels_first_line(write: Write) -> None:
    path = write("a.csv.gz", gzip.compress(b"sep=|\r\nquery|label\r\na;b|c\r\n"))
    dialect = sniff(path)
    assert (dialect.delimiter, dialect.skipped_lines) == ("|", 1) and dialect.sample[0] == ("query", "label")
    assert line_of(path, dialect, 2) == 3


def test_the_end_of_a_long_file_is_not_taken_for_a_record(write: Write) -> None:
    dialect = sniff(write("a.csv", "query,label\n" + "a long enough query,x\n" * 30_000))
    assert len(dialect.sample) == 200 and {len(record) for record in dialect.sample} == {2}


def test_lines_of_records(write: Write) -> None:
    path = write("a.csv", 'query,label\r\n"a\r\nb",x\r\n\r\nc,y\r\n')
    assert [line_of(path, sniff(path), record) for record in (1, 2, 3)] == [1, 2, 5]


def test_an_open_quote(write: Write) -> None:
    for text, open_ in (('q,l\na,"b\nc,d\n', True), ('q,l\na,"b\nc"\n', False), ('q,l\na,5" b\n', False)):
        path = write("a.csv", text)
        assert quote_left_open(path, sniff(path)) == open_


@pytest.mark.parametrize(
    ("content", "options", "error", "message"),
    [
        ("", {}, DataError, "a.csv: expected records, but the file is empty"),
        ("\r\n\r\n", {}, DataError, "the file is empty"),
        (
            b"q;l\nSch\xfche;x\n",
            {},
            DataError,
            "line 2: expected utf-8, got the byte 0xfc: save the file as UTF-8",
        ),
        ("q;l\n", {"encoding": "nonsense"}, ConfigError, "a name that Python knows"),
        ("q;l\n", {"delimiter": ";;"}, ConfigError, "delimiter: expected one character"),
        (gzip.compress(b"q,l\n" * 100, mtime=0)[:-9], {}, DataError, "a complete gzip file"),
    ],
)
def test_what_is_no_table(
    content: str | bytes, options: dict[str, str], error: type[Exception], message: str, write: Write
) -> None:
    with pytest.raises(error, match=message):
        sniff(write("a.csv", content), **options)  # type: ignore[arg-type]


def test_another_encoding_as_told(write: Write) -> None:
    dialect = sniff(write("a.csv", "q;l\nSchühe;x\n".encode("cp1252")), encoding="cp1252")
    assert dialect.sample[1] == ("Schühe", "x")


@pytest.mark.parametrize("text", ["x" * 200_000, "[" * (1 << 20), 'query,label\n"' + "x" * 300_000])
def test_a_first_record_without_an_end_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text(text)
    if text.startswith("query"):
        assert sniff(path).sample == (("query", "label"),)
    else:
        with pytest.raises(DataError, match=r"clicks.csv, line 1: expected a record of fields of at most"):
            sniff(path)


def test_a_mark_of_another_encoding_makes_fewer_columns_than_their_places(tmp_path: Path) -> None:
    (tmp_path / "clicks.csv").write_bytes(b"\xff\xfe" + b"query,label\nred bird,l1\n")
    with pytest.raises(DataError, match="expected a column with"):
        import_tables(TableFiles([tmp_path / "clicks.csv"]), tmp_path / "out", name="clicks", progress=False)
