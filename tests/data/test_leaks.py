from __future__ import annotations

from pathlib import Path

from xmc.data import Dataset, DatasetWriter, describe, prepare
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
    assert "--split" in info.table() and "1 of 2 labels has no training row" in info.table()


def test_nothing_to_say_of_sound_data(tmp_path: Path) -> None:
    assert describe(made(tmp_path / "out", ["a"], ["b"], ["x"])).advice == []


def test_repeated_texts_and_no_test_rows(tmp_path: Path) -> None:
    advice = describe(made(tmp_path / "out", ["a", "a"], [], ["x", "x"])).advice
    for words in ("no test rows to evaluate on", "a table of clicks (CSV, TSV) makes one", "be told apart"):
        assert any(words in line for line in advice)


def test_repeated_texts_of_a_table_have_uids_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text("query_uid,query,label\n1,red,a\n2,red,b\n", encoding="utf-8")
    advice = describe(prepare(path, tmp_path / "out", progress=False)).advice
    assert any("several rows: their query_uid tells them apart" in line for line in advice)
    assert not any("a table of clicks" in line for line in advice)


def test_labels_that_differ_in_case_alone_are_named(tmp_path: Path) -> None:
    advice = describe(made(tmp_path / "out", ["a"], ["b"], ["tent", "VPN", "vpn"])).advice
    assert any(
        line.startswith(
            "2 labels differ from another in case or white space alone, such as 'VPN' and 'vpn', and"
        )
        and line.endswith("write each in one way in the files and import again")
        for line in advice
    )
