from __future__ import annotations

from pathlib import Path

from xmc.data import Dataset, DatasetWriter, describe
from xmc.data.leaks import leaked_rows


def made(path: Path, train: list[str], test: list[str], labels: list[str]) -> Dataset:
    with DatasetWriter(path, name="toy") as writer:
        for uid, text in enumerate(labels):
            writer.add_label(str(uid), text)
        for split, texts in (("train", train), ("test", test)):
            for row, text in enumerate(texts):
                writer.add_row(split, str(row), text, "", [0])
    return Dataset.load(path)


def test_leaks_are_found_whatever_the_case(tmp_path: Path) -> None:
    dataset = made(
        tmp_path / "out", ["Red  shoes", "", "hat"], ["boots", "red shoes", "", "HAT "], ["a", "b"]
    )
    assert leaked_rows(dataset).tolist() == [1, 3]
    info = describe(dataset)
    assert info.leaked_test_rows == 2
    assert "2 of 4 test queries have the text of a training query" in info.table()
    assert "--split" in info.table() and "1 of 2 labels have no training row" in info.table()


def test_nothing_to_say_of_sound_data(tmp_path: Path) -> None:
    assert describe(made(tmp_path / "out", ["a"], ["b"], ["x"])).advice == []


def test_repeated_texts_and_no_test_rows(tmp_path: Path) -> None:
    advice = describe(made(tmp_path / "out", ["a", "a"], [], ["x", "x"])).advice
    for words in ("no test rows to evaluate on", "several rows", "cannot be told apart"):
        assert any(words in line for line in advice)
