from __future__ import annotations

import gzip
import json
import logging
import sys
from pathlib import Path

import pytest

from xmc.cli.main import main
from xmc.data import Dataset
from xmc.data.importers.annif.documents import read_documents
from xmc.data.importers.annif.subjects import read_subjects
from xmc.data.preparing import prepare
from xmc.errors import ConfigError, DataError, DependencyError

VOCABULARY = (
    "<http://x.org/1>\tcats\tC1\n<http://x.org/2>\tdogs\n<http://x.org/3>\n\n<http://x.org/4>\tbirds\n"
)
TRAIN = (
    "A cat on a mat\t<http://x.org/1> <http://x.org/9>\n"
    "Cats  and dogs\thttp://x.org/1 http://x.org/2\n"
    "An old one\t<http://x.org/3>\n"
)
SKOS = """\
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
<http://x.org/2> a skos:Concept ; skos:prefLabel "dogs"@en, "koirat"@fi ; skos:altLabel "hounds"@en .
<http://x.org/1> a skos:Concept ; skos:prefLabel "cats"@en ; skos:altLabel "felines"@en, "felids"@en .
<http://x.org/3> a skos:Concept ; skos:prefLabel "gone"@en ; owl:deprecated true .
<http://x.org/4> a skos:Concept ; skos:prefLabel "linnut"@fi .
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "annif"
    folder.mkdir()
    (folder / "vocabulary.tsv").write_text(VOCABULARY)
    with gzip.open(folder / "train.tsv.gz", "wt") as packed:
        packed.write(TRAIN)
    (folder / "test.tsv").write_text("A bird\t<http://x.org/4>\n")
    return folder


def test_tsv_documents_and_vocabulary(files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        built = prepare(
            files / "train.tsv.gz",
            tmp_path / "out",
            format="annif",
            labels=files / "vocabulary.tsv",
            test=files / "test.tsv",
            progress=False,
        )
    assert list(built.uids("labels")) == ["http://x.org/1", "http://x.org/2", "http://x.org/4"]
    assert list(built.texts("train")) == ["A cat on a mat", "Cats and dogs"] and list(
        built.texts("test")
    ) == ["A bird"]
    assert built.relevance("train").toarray().tolist() == [[1, 0, 0], [1, 1, 0]]
    assert "passed over 2 subjects that the vocabulary has not, and 1 documents" in caplog.text
    assert built.name == "train" and built.manifest.sources[0]["format"] == "annif"


def test_full_texts_csv_and_json_lines(files: Path) -> None:
    folder = files / "full"
    folder.mkdir()
    (folder / "b.txt").write_text("Of dogs\nand more")
    (folder / "b.key").write_text("Dogs\n\n")
    (folder / "a.txt").write_text("Of cats")
    (folder / "a.tsv").write_text("<http://x.org/1>\tcats\n")
    (folder / "c.json").write_text(json.dumps({"text": "Of birds", "subjects": [{"uri": "http://x.org/4"}]}))
    (folder / "d.txt").write_text("Of nothing")
    found = list(read_documents(folder))
    assert [(one.uid, one.uris, one.labels) for one in found] == [
        ("a", ("http://x.org/1",), ()),
        ("b", (), ("Dogs",)),
        ("c", ("http://x.org/4",), ()),
        ("d", (), ()),
    ]
    table = files / "rows.csv"
    table.write_text(
        'document_id,text,subject_uris\nq7,"One,\ntwo",http://x.org/1 <http://x.org/2>\n,Three,\n'
    )
    one, two = read_documents(table)
    assert (one.uid, one.text, one.uris) == ("q7", "One,\ntwo", ("http://x.org/1", "http://x.org/2"))
    assert two.uid == "4" and two.uris == ()
    lines = files / "rows.jsonl"
    lines.write_text(
        '{"text": "One", "subjects": [{"label": "dogs"}], "document_id": "q1"}\n{"text": "Two"}\n'
    )
    assert [(one.uid, one.labels) for one in read_documents(lines)] == [("q1", ("dogs",)), ("2", ())]


def test_skos_has_languages(files: Path) -> None:
    path = files / "vocabulary.ttl"
    path.write_text(SKOS)
    found = read_subjects(path, "en")
    assert [(one.uri[-1], one.label, one.others) for one in found] == [
        ("1", "cats", "felids; felines"),
        ("2", "dogs", "hounds"),
    ]
    assert [one.label for one in read_subjects(path, "fi")] == ["koirat", "linnut"]
    with pytest.raises(DataError, match="labels in 'sv', found those in en, fi"):
        read_subjects(path, "sv")
    path.write_text("no turtle at all <")
    with pytest.raises(DataError, match="vocabulary.ttl: expected an RDF file"):
        read_subjects(path, "en")


def test_skos_without_rdflib(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (files / "vocabulary.ttl").write_text(SKOS)
    monkeypatch.setitem(sys.modules, "rdflib", None)
    with pytest.raises(DependencyError, match="pip install rdflib"):
        read_subjects(files / "vocabulary.ttl", "en")


def test_a_csv_vocabulary(files: Path) -> None:
    path = files / "vocabulary.csv"
    path.write_text(
        "uri,label_en,label_fi,notation\n<http://x.org/1>,cats,kissat,C\n<http://x.org/2>,,koirat,\n"
    )
    assert [one.label for one in read_subjects(path, "fi")] == ["kissat", "koirat"]
    assert [one.label for one in read_subjects(path, "en")] == ["cats"]
    with pytest.raises(DataError, match="columns uri and label_sv, got uri, label_en"):
        read_subjects(path, "sv")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("bad.tsv", "fine\thttp://x.org/1\nno tab\n", "bad.tsv, line 2: expected a text, a tab and uris"),
        ("bad.csv", "text,uris\n", "found no subject_uris"),
        ("bad.jsonl", '{"text": 3}\n', "bad.jsonl, line 1: expected a JSON object with a text"),
        ("bad.jsonl", '{"text": "x", "subjects": ["cats"]}\n', "a uri or a label"),
    ],
)
def test_what_are_no_documents_is_told(files: Path, name: str, text: str, said: str) -> None:
    (files / name).write_text(text)
    with pytest.raises(DataError, match=said):
        list(read_documents(files / name))


def test_what_does_not_fit_is_refused(files: Path, tmp_path: Path) -> None:
    train, out, labels = files / "train.tsv.gz", tmp_path / "out", files / "vocabulary.tsv"
    with pytest.raises(ConfigError, match="labels: expected the vocabulary"):
        prepare(train, out, format="annif", progress=False)
    with pytest.raises(ConfigError, match="split: expected without test documents"):
        prepare(train, out, format="annif", labels=labels, test=files / "test.tsv", split=0.5, progress=False)
    with pytest.raises(ConfigError, match="language: expected with format annif alone, got 'fi'"):
        prepare(train, out, labels=labels, language="fi", progress=False)
    with pytest.raises(DataError, match="expected a vocabulary .SKOS, CSV or TSV."):
        prepare(train, out, format="annif", labels=files / "gone.ttl", progress=False)
    with pytest.raises(DataError, match="expected documents with subjects of vocabulary.tsv"):
        (files / "other.tsv").write_text("A text\thttp://y.org/1\n")
        prepare(files / "other.tsv", out, format="annif", labels=labels, progress=False)
    (files / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: expected documents \(\*.txt"):
        prepare(files / "empty", out, format="annif", labels=labels, progress=False)
    assert not out.exists()


def test_the_command(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "import", str(files / "train.tsv.gz"), str(tmp_path / "out"), "--format", "annif"]
    assert main([*words, "--labels", str(files / "vocabulary.tsv"), "--test", str(files / "test.tsv")]) == 0
    assert "training rows" in capsys.readouterr().out and Dataset.load(tmp_path / "out").num_labels == 3
