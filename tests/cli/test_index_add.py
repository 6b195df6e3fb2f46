"""Labels held out of training, then added to an index by text and queries, as a user types it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from xmc.cli.main import main
from xmc.retrieval import LabelIndex

Capture = pytest.CaptureFixture[str]


def scores(index: LabelIndex, queries: np.ndarray) -> np.ndarray:
    ids, found = index.search_vectors(queries, len(index))
    return np.take_along_axis(found, np.argsort(ids, axis=1), axis=1)


def test_from_split_to_score(
    dataset_folder: Path, model_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    whole, split, seen = str(dataset_folder), str(tmp_path / "split"), str(tmp_path / "seen")
    words = ["data", "split-labels", whole, split, "--unseen", "0.3", "--train_on", seen]
    assert main(words) == 0
    assert main(words) == 2 and "overwrite" in capsys.readouterr().err
    index = str(tmp_path / "index")
    assert main(["index", str(model_folder), "--labels", seen, "--out", index]) == 0
    before = LabelIndex.load(index)
    queries = np.random.default_rng(0).standard_normal((30, 16)).astype(np.float32)
    old = scores(before, queries)

    add = ["index", "add", index, "--labels", split]
    assert main(add) == 2 and "--known skip" in capsys.readouterr().err
    clicks = tmp_path / "clicks.csv"
    support = [*add, "--known", "skip", "--support", str(clicks)]
    named = ["--columns", "query=Suchwort", "label=artikel"]
    clicks.write_text(f"Tag,Suchwort,Artikel\n1,the thing,{_unseen(split)}\n", encoding="utf-8")
    assert main(support) == 2 and "--columns query=NAME" in capsys.readouterr().err
    shutil.copytree(index, tmp_path / "copy")
    assert main(["index", "add", str(tmp_path / "copy"), *support[3:], *named]) == 0
    assert main([*add, "--known", "skip", "--support", whole]) == 0
    after = LabelIndex.load(index)
    added = len(after) - len(before)
    assert len(after) == 20 and added > 0
    assert f"{added} labels added, 0 updated: 20 in {index}" in capsys.readouterr().out
    np.testing.assert_array_equal(scores(after, queries)[:, : len(before)], old)

    texts, ranked = tmp_path / "test.jsonl", str(tmp_path / "ranked.trec")
    rows = [{"uid": f"t{row}", "text": f"the {text}"} for row, text in enumerate(_labels(dataset_folder))]
    texts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["predict", index, str(texts), "-k", "20", "--out", ranked]) == 0
    assert main(["score", ranked, split]) == 0
    shown = capsys.readouterr().out
    assert f"{added} labels held out of training: {added} queries have one of them" in shown
    assert "harmonic mean" in shown and "unseen, alone" not in shown


def _unseen(split: str) -> str:
    from xmc.data import Dataset

    dataset = Dataset.load(split)
    return dataset.uids("labels")[int(dataset.unseen_labels[0])]


def _labels(dataset_folder: Path) -> list[str]:
    from xmc.data import Dataset

    return list(Dataset.load(dataset_folder).texts("labels"))


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--k0", "1"], "--k0: expected with --support"),
        (["--support", "clicks.csv", "--k0", "-1"], "--k0: expected 0 or more, got -1.0"),
    ],
)
def test_a_k0_that_cannot_be(more: list[str], text: str, capsys: Capture) -> None:
    assert main(["index", "add", "no/such/index", "--labels", "labels.csv", *more]) == 2
    assert text in capsys.readouterr().err


def test_support_is_for_new_labels(capsys: Capture) -> None:
    words = ["index", "add", "no/such/index", "--labels", "labels.csv", "--support", "clicks.csv"]
    assert main([*words, "--known", "update"]) == 2
    assert "--support: expected with new labels" in capsys.readouterr().err


@pytest.fixture
def index_folder(model_folder: Path, dataset_folder: Path, tmp_path: Path) -> Path:
    """An index of the data set's 20 labels."""
    folder = tmp_path / "index"
    assert main(["index", str(model_folder), "--labels", str(dataset_folder), "--out", str(folder)]) == 0
    return folder


def add(index: Path, name: str, text: str, *more: str) -> int:
    """Write a table beside the index and add its labels."""
    table = index.parent / name
    table.write_text(text, encoding="utf-8")
    return main(["index", "add", str(index), "--labels", str(table), *more])


def test_labels_without_a_text_are_told_of(
    index_folder: Path, capsys: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    assert add(index_folder, "new.csv", "uid,title,content\nn1,,\nn2,red tree,x\n") == 0
    assert any("new.csv: 1 of 2 labels has no text, such as 'n1'" in said for said in caplog.messages)
    assert "2 labels added, 0 updated: 22 in" in capsys.readouterr().out
    caplog.clear()
    lines = '{"uid": "e1", "text": " "}\n{"uid": "e2", "text": "red", "txt": "bird"}\n'
    assert add(index_folder, "new.jsonl", lines) == 0
    columns, empty = sorted(caplog.messages, key=lambda said: "columns" not in said)
    assert columns.endswith("new.jsonl: columns: uid = uid, title = text; not read: txt")
    assert empty.startswith("new.jsonl: 1 of 2 labels has no text, such as 'e1'")
    caplog.clear()
    assert add(index_folder, "whole.jsonl", '{"uid": "f1", "title": "red"}\n') == 0
    (columns,) = caplog.messages
    assert columns.endswith("columns: uid = uid, title = title")
    assert "1 label added, 0 updated: 25 in" in capsys.readouterr().out


def test_a_table_whose_texts_are_not_found(
    index_folder: Path, capsys: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    for name, text in (("new.jsonl", '{"uid": "j1", "txt": "red"}\n'), ("new.csv", "uid,txt\nj1,red\n")):
        assert add(index_folder, name, text) == 2
        said = capsys.readouterr().err
        assert "a column with the labels' texts" in said and "has 'uid', 'txt'" in said
        assert add(index_folder, name, text, "--columns", "title=txt", "--known", "update") == 0
    assert all("columns: title = txt, uid = uid" in said for said in caplog.messages)
    caplog.clear()
    assert add(index_folder, "uids.csv", "uid\nred bird\n") == 0
    assert [said.partition(": ")[2] for said in caplog.messages] == [
        "no column of texts, so that the uid of a label is its text",
        "columns: uid = uid",
    ]
    assert LabelIndex.load(index_folder).texts[-1] == "red bird"
    caplog.clear()
    # Uids alone are asked for where labels are removed.
    table = index_folder.parent / "gone.csv"
    table.write_text("uid,why\nl0,sold\n", encoding="utf-8")
    assert main(["index", "remove", str(index_folder), "--labels", str(table)]) == 0
    assert "1 label removed: 21 in" in capsys.readouterr().out
    assert all("columns: uid = uid; not read: why" in said for said in caplog.messages)
