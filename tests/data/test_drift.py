from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from xmc.data import Dataset, DatasetWriter
from xmc.data.drift import drift
from xmc.errors import DataError

Rows = Sequence[tuple[str, list[str]]]


def made(path: Path, labels: list[str], train: Rows, test: Rows = ()) -> Dataset:
    with DatasetWriter(path, name=path.name) as writer:
        ids = {uid: writer.add_label(uid, uid) for uid in labels}
        for split, rows in (("train", train), ("test", test)):
            for row, (text, named) in enumerate(rows):
                writer.add_row(split, str(row), text, "", [ids[uid] for uid in named])
    return Dataset.load(path)


def test_shares_by_hand(tmp_path: Path) -> None:
    old = made(tmp_path / "old", ["a", "b", "c", "d"], [("red shoes", ["a"]), ("blue hat", ["a", "b"])])
    new = made(
        tmp_path / "new",
        ["b", "c", "e", "a"],
        [("Red Shoes!", ["a"]), ("RED  shoes", ["e"])],
        [("green hat", ["b", "c"])],
    )
    found = drift(old.path, new)
    assert (found.num_queries, found.num_clicks, found.gone_labels) == (3, 4, 1)
    # "Red Shoes!" is another text of the same words.
    assert found.new_queries == pytest.approx(2 / 3) and found.new_words == pytest.approx(1 / 6)
    assert found.new_labels == 0.25 and found.clicks_on_new_labels == 0.25
    assert found.clicks_on_untrained_labels == 0.25
    # Old a 2/3, b 1/3; new a, b, c 1/3 each.
    assert found.moved_clicks == pytest.approx(1 / 3)
    assert any("train again" in line for line in found.sentences()) and "train again" in found.table()
    assert any("old labels are gone" in line for line in found.sentences())


def test_nothing_moved(tmp_path: Path) -> None:
    rows: Rows = [(f"word {number % 10}", ["abcde"[number % 5]]) for number in range(100)]
    old, new = (made(tmp_path / name, list("abcde"), rows) for name in ("old", "new"))
    found = drift(old, new)
    assert (found.new_queries, found.new_words, found.moved_clicks) == (0, 0, 0)
    assert len(found.sentences()) == 1 and "nothing here asks for training again" in found.sentences()[0]


def test_few_clicks_are_not_taken_for_a_move(tmp_path: Path) -> None:
    labels = [f"l{number}" for number in range(200)]
    old = made(tmp_path / "old", labels, [("word", [label]) for label in labels * 20])
    new = made(tmp_path / "new", labels, [("word", [label]) for label in labels[::4]])
    few = drift(old, new)
    assert few.moved_clicks == pytest.approx(0.75) and few.moved_by_chance == pytest.approx(0.76, abs=0.06)
    assert not any("fall otherwise" in line for line in few.sentences())
    many = drift(old, made(tmp_path / "many", labels, [("word", [label]) for label in labels[::4] * 80]))
    assert many.moved_by_chance < 0.15 and any("fall otherwise" in line for line in many.sentences())


def test_nothing_to_compare(tmp_path: Path) -> None:
    full, empty = made(tmp_path / "full", ["a"], [("x", ["a"])]), made(tmp_path / "empty", ["a"], [])
    for pair in ((full, empty), (empty, full)):
        with pytest.raises(DataError, match="empty: expected rows to compare, got none"):
            drift(*pair)
