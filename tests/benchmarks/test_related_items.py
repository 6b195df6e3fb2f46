"""Dictionaries become tables of related items that an import understands."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from benchmarks import related_items
from xmc.data import prepare
from xmc.data.tables import TableOptions

FOLDOC = """00-database-info

   Not {stack} an entry.

stack
LIFO

   <programming> A {data structure}, see also {FIFO}, {unknown}.
   {Home (http://stack.invalid/)}.

   (1994-11-08)

data structure

   What a {STACK} or a {data structure} is.
"""
MOBY = "b,d,z,d\na,b\nd,b,f,d\nc,b\nf,q\n"


def test_entries_are_related_to_those_that_they_name() -> None:
    related, texts = related_items.foldoc(FOLDOC.splitlines(keepends=True))
    assert related == {"e0": ["e1"], "e1": ["e0"]}
    assert texts["e0"] == "stack: <programming> A data structure, see also FIFO, unknown."
    assert related_items.share_both_ways(related) == 1.0


def test_roots_are_related_to_roots() -> None:
    assert related_items.moby(MOBY.splitlines(), step=1) == {
        "a": ["b"],
        "b": ["d"],
        "c": ["b"],
        "d": ["b", "f"],
    }
    assert related_items.moby(MOBY.splitlines(), step=3) == {}  # a and d alone
    found = related_items.moby(MOBY.splitlines(), step=2)  # a, c and f
    assert found == {} and related_items.share_both_ways(found) == 0.0
    assert related_items.share_both_ways({"a": ["b", "c"], "b": ["a"]}) == pytest.approx(2 / 3)


def test_a_thesaurus_names_its_words_in_any_case_and_with_remarks() -> None:
    text = "UTF-8\nBank|2\n-|Geldhaus (ugs.)|Sparkasse|bank\n(Nomen)|Sitz|Sparkasse\n"
    text += "|1\n-|Bank\nsitz|1\n-|Bank\nSparkasse|1\n-|Bank (fam.)\n"
    found = related_items.mythes(text.splitlines())
    assert found == {"Bank": ["Sparkasse", "sitz"], "Sparkasse": ["Bank"], "sitz": ["Bank"]}
    # Of the words in order, an empty one first, every second: Sparkasse alone.
    assert related_items.mythes(text.splitlines(), step=2) == {}


def test_the_tables_are_imported_and_no_item_is_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "foldoc.dict.dz"
    with gzip.open(source, "wt", encoding="utf-8") as file:
        file.write(FOLDOC)
    related_items.main(["foldoc", str(source), str(tmp_path / "tables")])
    assert capsys.readouterr().out == "2 items, 100% of their pairs both ways\n"
    tables = tmp_path / "tables"
    dataset = prepare(
        tables / "related.csv",
        tmp_path / "set",
        labels=tables / "entries.csv",
        options=TableOptions(own_label="filter"),
        progress=False,
    )
    own = dataset.filter("train")
    assert dataset.uids("train")[:] == dataset.uids("labels")[:] == ["e0", "e1"]
    assert own is not None and own.toarray().tolist() == [[1, 0], [0, 1]]
