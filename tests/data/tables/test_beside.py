"""Tables of labels beside a file of clicks: which are worth a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from xmc.data.tables.beside import are_ids, labels_beside

Write = Callable[..., Path]
IDS = ["p1", "p2", "p3", "p4"]
WORDS = ["hiking boots", "tents", "maps"]


@pytest.mark.parametrize(
    ("text", "names", "told"),
    [
        ("uid,title\np1,Shoes\np2,Hats\n", IDS, True),
        ("uid,title\n7,Shoes\n8,Hats\n", IDS, True),  # ids need a text, and may be written otherwise
        ("uid,title\n7,Shoes\n8,Hats\n", WORDS, False),
        ("id,description\ntents,to sleep in\nmaps,to read\nx,y\n", WORDS, True),
        ("title,category\nred shoes,Shoes\n", IDS, False),
        ("uid\np1\n", IDS, False),
        ("p1,Shoes\n", IDS, False),
        ("uid,title\np1,Shoes\n", [], False),
        ("", IDS, False),
    ],
)
def test_a_table_with_texts_of_the_labels_is_found(
    text: str, names: list[str], told: bool, write: Write
) -> None:
    table = write("products.csv", text)
    assert labels_beside(write("clicks.csv", ""), names) == (table if told else None)


def test_the_one_that_matches_comes_first(write: Write) -> None:
    write("items.csv", "uid,title\n7,Shoes\n")
    products = write("products.csv", "uid,title\np1,Shoes\n")
    assert labels_beside(write("labels.csv", "uid,title\np1,x\n"), IDS) == products


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["17", "B00X4", "c-3"], True),
        (["---"], True),
        (WORDS, False),
        (["version 2", "3 pack"], False),
        (["p1", "tents"], False),
        ([], False),
    ],
)
def test_ids(names: list[str], expected: bool) -> None:
    assert are_ids(names) == expected
