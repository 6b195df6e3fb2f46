from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from xmc.data import Dataset, prepare
from xmc.data.tables import TableOptions
from xmc.errors import ConfigError, DataError


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    (tmp_path / "clicks.csv").write_text("query,label\na,x\nb,y\n", encoding="utf-8")
    return tmp_path / "clicks.csv"


def test_a_prepared_data_set_is_opened(build: Callable[..., Dataset], tmp_path: Path) -> None:
    dataset = build([[0]])
    assert prepare(dataset.path, tmp_path / "out").path == dataset.path and not (tmp_path / "out").exists()
    extra = {"split": 0.1, "labels": "products.csv", "options": TableOptions(), "part": "test"}
    for what, value in extra.items():
        with pytest.raises(ConfigError, match=f"^{what}: expected with files, but .* is a prepared data set"):
            prepare(dataset.path, tmp_path / "out", **{what: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["file", "folder", "jsonl"])
def test_test_rows_that_are_there_are_kept(kind: str, clicks: Path, tmp_path: Path) -> None:
    source, out, given = clicks, tmp_path / "out", {"progress": False, "split": 0.5}
    test = tmp_path / "test.csv"
    test.write_text("query,label\nc,x\n", encoding="utf-8")
    if kind == "file":
        given["test"] = [test]
    else:
        source = tmp_path
    if kind == "jsonl":
        for split in ("train", "test"):
            line = json.dumps({"text": split, "labels": ["x"]}) + "\n"
            (tmp_path / f"{split}.jsonl").write_text(line * 2, encoding="utf-8")
    with pytest.raises(ConfigError, match="split: expected"):
        prepare(source, out, **given)  # type: ignore[arg-type]
    dataset = prepare(source, out, keep_test=True, **given)  # type: ignore[arg-type]
    assert dataset.num_train == 2 and dataset.num_test == (2 if kind == "jsonl" else 1)
    assert "split" not in dataset.manifest.sources[0]


def test_a_split_is_made_where_there_are_no_test_rows(tmp_path: Path) -> None:
    for row in range(20):
        with open(tmp_path / "train.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"text": f"text {row}", "labels": ["x"]}) + "\n")
    dataset = prepare(tmp_path, tmp_path / "out", split=0.5, keep_test=True, progress=False)
    assert 0 < dataset.num_test < 20


def test_a_folder_of_tables_as_test_rows_and_as_labels(clicks: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a table of labels, such as products.csv"):
        prepare(tmp_path, tmp_path / "out", part="labels")
    (tmp_path / "products.csv").write_text("uid,title\nx,X\ny,Y\n", encoding="utf-8")
    tested = prepare(tmp_path, tmp_path / "out", part="test", progress=False)
    assert (tested.num_train, tested.num_test, tested.num_labels) == (0, 2, 2)
    labels = prepare(tmp_path, tmp_path / "labels", part="labels", progress=False)
    assert (labels.num_train, labels.num_test, labels.num_labels) == (0, 0, 2)
    (tmp_path / "test.csv").write_text("query,label\nc,x\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"part test: expected .* got clicks.csv and test.csv"):
        prepare(tmp_path, tmp_path / "two", part="test")


def test_a_folder_of_a_format_of_its_own_is_read_as_that(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "labels.jsonl").write_text('{"uid": "x", "text": "X"}\n', encoding="utf-8")
    (folder / "train.jsonl").write_text(json.dumps({"text": "a", "labels": [0]}) + "\n", encoding="utf-8")
    dataset = prepare(folder, tmp_path / "out", progress=False)
    assert dataset.manifest.sources[0]["format"] == "jsonl" and dataset.relevance("train").nnz == 1
    with pytest.raises(ConfigError, match="labels, part: expected with tables alone"):
        prepare(folder, tmp_path / "two", labels="x.csv", part="test")


def test_what_lies_beside_a_file_is_pointed_out(
    clicks: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepare(clicks, tmp_path / "one", progress=False)
    assert "is not read: --labels" not in caplog.text
    for name in ("products.csv", "labels.csv"):
        (tmp_path / name).write_text("uid,title\nx,X\ny,Y\n", encoding="utf-8")
    prepare(clicks, tmp_path / "two", progress=False)
    assert "labels.csv lies beside clicks.csv and is not read" in caplog.text


def test_files_by_name(clicks: Path, tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text("uid,title\nx,X\ny,Y\n", encoding="utf-8")
    (tmp_path / "test-june.csv").write_text("query,label\nc,X\n", encoding="utf-8")
    paths = [clicks, tmp_path / "products.csv", tmp_path / "test-june.csv"]
    dataset = prepare(paths, tmp_path / "out", name="shop", progress=False)
    assert (dataset.name, dataset.num_train, dataset.num_test) == ("shop", 2, 1)
    assert dataset.texts("labels")[:] == ["X", "Y"]


def test_what_does_not_fit(clicks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="expected a file, found none"):
        prepare([tmp_path / "nowhere.csv", clicks], out)
    with pytest.raises(DataError, match="expected a file, found none"):
        prepare(tmp_path / "nowhere.csv", out)
    with pytest.raises(DataError, match="expected one table of labels, got labels.csv, products.csv"):
        prepare([clicks, tmp_path / "labels.csv", tmp_path / "products.csv"], out)
    with pytest.raises(DataError, match="the files of one of these formats"):
        prepare(tmp_path / "empty", out)
    with pytest.raises(DataError, match="expected clicks.csv or train.csv"):
        prepare(tmp_path / "empty", out, format="tables")
    with pytest.raises(DataError, match="labels: expected a table or a prepared data set, found none"):
        prepare(clicks, out, labels=tmp_path / "gone.csv")
    with pytest.raises(ConfigError, match="part labels: expected one file"):
        prepare([clicks, clicks], out, part="labels")
    with pytest.raises(ConfigError, match="options: expected with tables alone"):
        prepare(clicks.parent, out, format="jsonl", options=TableOptions())
