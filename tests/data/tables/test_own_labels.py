"""Queries that are labels themselves: which they are, and when their own pairs are left out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from xmc.data import Dataset
from xmc.data.tables import TableOptions
from xmc.data.tables.labels import LabelTexts
from xmc.data.tables.own_labels import own_labels

Write = Callable[..., Path]
Run = Callable[..., Dataset]

ITEMS = "uid,title\np1,Lamp\np2,Chair\np3,Desk\np4,Desk\n"
CLICKS = "query_uid,query,labels\np1,Lamp,p2|p3\np2,Chair,p1\np4,Desk,p1|p3\np9,Sofa,p2\n"


def filtered(dataset: Dataset, split: str = "train") -> dict[str, str]:
    matrix = dataset.filter(split)
    if matrix is None:
        return {}
    found = matrix.tocoo()
    uids, names = dataset.uids(split), dataset.uids("labels")
    return {uids[int(row)]: names[int(label)] for row, label in zip(found.row, found.col, strict=True)}


def test_a_title_tells_and_of_several_labels_of_one_title_the_uid() -> None:
    labels = LabelTexts("here")
    for uid, title in (("a", "Lamp"), ("b", "Desk"), ("c", "Desk"), ("Desk", "Chair"), ("e", "")):
        labels.add(uid, title)
    texts = [(None, "Lamp", ""), ("x", "Lamp", "of brass"), ("b", "lamp", ""), (None, "Desk", "")]
    texts += [("c", "Desk", ""), ("a", "Desk", ""), ("e", "", "nothing"), ("Desk", "Desk", "")]
    assert own_labels(texts, labels).tolist() == [0, 0, -1, -1, 2, -1, -1, -1]


def test_of_related_items_an_item_is_not_its_own(
    write: Write, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    clicks, items = write("related.csv", CLICKS), write("items.csv", ITEMS)
    with caplog.at_level(logging.INFO):
        dataset = run(clicks, labels=items)
    assert filtered(dataset) == {"p1": "p1", "p2": "p2", "p4": "p4"}
    said = "related.csv: 3 of 4 queries are labels themselves, of which 0 were clicked for themselves"
    assert f"{said}: the others are left out of their own" in caplog.text
    kept = run(clicks, labels=items, options=TableOptions(own_label="keep"))
    assert not filtered(kept) and kept.fingerprint != dataset.fingerprint


def test_items_that_choose_themselves_are_searches_for_them(
    write: Write, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    items = write("items.csv", ITEMS)
    clicks = write("related.csv", CLICKS.replace("p2|p3", "p1|p3"))
    with caplog.at_level(logging.INFO):
        assert not filtered(run(clicks, labels=items))
    assert "of which 1 were clicked for themselves: --own-label filter leaves the others out" in caplog.text
    # What was clicked stands, whatever is wanted of the others.
    dataset = run(clicks, labels=items, options=TableOptions(own_label="filter"))
    assert filtered(dataset) == {"p2": "p2", "p4": "p4"}


def test_few_queries_that_are_labels_are_left_as_they_are(
    write: Write, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    others = "".join(f"q{number},word {number},p1\n" for number in range(4))
    with caplog.at_level(logging.INFO):
        assert not filtered(run(write("related.csv", CLICKS + others), labels=write("items.csv", ITEMS)))
    assert "3 of 8 queries are labels themselves" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        run(write("clicks.csv", "query,label\nlamps,Lamp\nchairs,Chair\n"))
    assert "themselves" not in caplog.text


def test_training_and_test_rows_are_judged_together(write: Write, run: Run) -> None:
    # Of the test rows alone a third are labels, of all rows four in six.
    clicks, items = write("related.csv", CLICKS), write("items.csv", ITEMS)
    test = write("test.csv", "query_uid,query,labels\nt1,red lamp,p1\n")
    also = write("also.csv", "query_uid,query,labels\np3,Desk,p2\n")
    dataset = run([clicks], labels=items, test=[test, also])
    assert filtered(dataset, "test") == {"p3": "p3"} and len(filtered(dataset)) == 3


def test_the_side_of_a_split_has_its_own(write: Write, run: Run) -> None:
    words = [f"thing {number}" for number in range(60)]
    lines = [f"{word},{words[number - 1]}" for number, word in enumerate(words)]
    dataset = run(write("clicks.csv", "\n".join(["query,label", *lines]) + "\n"), split=0.3)
    for split in ("train", "test"):
        matrix = dataset.filter(split)
        assert matrix is not None and matrix.nnz == len(dataset.texts(split)[:])
        titles = dataset.texts("labels")[:]
        assert [titles[label] for label in matrix.indices] == list(dataset.texts(split)[:])
