"""The jsonl, parquet and hub formats, which share their columns."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmc.data import Dataset, describe, import_folder
from xmc.errors import DataError

from .conftest import LABELS, TEST, TRAIN, assert_is_the_example, write_json, write_lines

datasets = pytest.importorskip("datasets")


def _rows(rows: list[tuple[str, dict[int, float]]], by_uid: bool) -> list[dict[str, Any]]:
    return [
        {
            "text": text,
            "labels": [f"l{label}" if by_uid else label for label in pairs],
            "relevance": list(pairs.values()),
        }
        for text, pairs in rows
    ]


def _tables(by_uid: bool) -> dict[str, list[dict[str, Any]]]:
    labels = [{"uid": f"l{i}", "text": text} for i, text in enumerate(LABELS)]
    return {"train": _rows(TRAIN, by_uid), "test": _rows(TEST, by_uid), "labels": labels}


def _write_jsonl(folder: Path, tables: dict[str, list[dict[str, Any]]]) -> None:
    for name, rows in tables.items():
        write_json(folder / f"{name}.jsonl.gz", rows)


def _write_parquet(folder: Path, tables: dict[str, list[dict[str, Any]]]) -> None:
    (folder / "data").mkdir()
    for name, rows in tables.items():
        half = (len(rows) + 1) // 2
        for shard, part in enumerate((rows[:half], rows[half:])):
            if part:
                path = folder / "data" / f"{name}-0000{shard}-of-00002.parquet"
                pq.write_table(pa.Table.from_pylist(part, pa.Table.from_pylist(rows).schema), path)


def _write_hub(folder: Path, tables: dict[str, list[dict[str, Any]]]) -> None:
    splits = {name: datasets.Dataset.from_list(rows) for name, rows in tables.items()}
    datasets.DatasetDict(splits).save_to_disk(str(folder))


WRITERS = {"jsonl": _write_jsonl, "parquet": _write_parquet, "hub": _write_hub}


@pytest.mark.parametrize("by_uid", [True, False])
@pytest.mark.parametrize("format", list(WRITERS))
def test_round_trip(format: str, by_uid: bool, source: Path, run: Callable[..., Dataset]) -> None:
    WRITERS[format](source, _tables(by_uid))
    dataset = run()
    assert_is_the_example(dataset)
    assert list(dataset.uids("labels")) == ["l0", "l1", "l2"]
    assert dataset.manifest.sources[0] == {"format": format, "source": "source"}


@pytest.mark.parametrize("format", list(WRITERS))
def test_names_are_labels_without_a_labels_table(
    format: str, source: Path, run: Callable[..., Dataset]
) -> None:
    rows = [
        {"title": "a", "content": "b", "labels": ["x", "y"]},
        {"title": "c", "content": "", "labels": ["z", "x"]},
    ]
    WRITERS[format](source, {"train": rows})
    dataset = run()
    assert dataset.texts("labels")[:] == ["x", "y", "z"] == list(dataset.uids("labels"))
    assert dataset.relevance("train").toarray().tolist() == [[1, 1, 0], [1, 0, 1]]
    assert dataset.texts("train")[:] == ["a b", "c"] and dataset.num_test == 0
    assert len(dataset.texts("test")) == 0 and dataset.relevance("test").shape == (0, 3)


@pytest.mark.parametrize("format", list(WRITERS))
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["l9"], "1: expected the uid of a label, got 'l9', which no label has"),
        ([3], "1: expected label ids between 0 and 2, as there are 3 labels, got 3"),
        ([" "], "1: expected labels to be ids .* or names"),
    ],
)
def test_unknown_labels(
    format: str, labels: list[Any], message: str, source: Path, run: Callable[..., Dataset], nothing_left: Any
) -> None:
    WRITERS[format](source, _tables(True) | {"train": [{"text": "a", "labels": labels}]})
    with pytest.raises(DataError, match=message):
        run()
    assert nothing_left()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([{"id": 4, "name": "x"}], "line 1: expected strings or integers .* write its field 'name' alone"),
        ([["x", "y"]], "line 1: expected strings or integers .* write all labels of a row in one list"),
    ],
)
def test_nested_labels(labels: list[Any], message: str, source: Path, run: Callable[..., Dataset]) -> None:
    _write_jsonl(source, {"train": [{"text": "a", "labels": labels}]})
    with pytest.raises(DataError, match=message):
        run()


def test_ids_need_a_labels_table(source: Path, run: Callable[..., Dataset]) -> None:
    _write_jsonl(source, {"train": [{"text": "a", "labels": [0]}]})
    with pytest.raises(
        DataError, match="line 1: expected label texts, as there is no labels file, got the label id 0"
    ):
        run()


def test_other_names_of_columns(source: Path, run: Callable[..., Dataset]) -> None:
    _write_jsonl(source, {"train": [{"id": 7, "title": "t", "text": "c", "label": "x", "other": 1}]})
    write_lines(source / "filter_labels_train.txt", ["0 0"])
    dataset = run()
    assert dataset.uids("train")[0] == "7" and dataset.texts("train")[0] == "t c"
    assert dataset.texts("labels")[:] == ["x"] and describe(dataset).filter_pairs["train"] == 1


def test_null_labels_are_none(source: Path, run: Callable[..., Dataset]) -> None:
    _write_jsonl(source, {"train": [{"text": "a", "labels": None}, {"text": "b", "labels": ["x"]}]})
    assert run().relevance("train").toarray().tolist() == [[0], [1]]


def test_a_damaged_parquet_file(
    source: Path, run: Callable[..., Dataset], nothing_left: Callable[[], bool]
) -> None:
    (source / "train.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(DataError, match=r"train\.parquet, row 0: expected a Parquet file"):
        run()
    assert nothing_left()


def test_class_labels_bring_their_names(source: Path, run: Callable[..., Dataset]) -> None:
    names = datasets.ClassLabel(names=["bad", "good"])
    for shape, values in ((names, [1, 0]), (datasets.Sequence(names), [[1], [0, 1]])):
        features = datasets.Features({"text": datasets.Value("string"), "label": shape})
        table = datasets.Dataset.from_dict({"text": ["a", "b"], "label": values}, features=features)
        table.save_to_disk(str(source))
        dataset = run(overwrite=True)
        assert dataset.texts("labels")[:] == ["bad", "good"]
    assert dataset.relevance("train").toarray().tolist() == [[0, 1], [1, 1]]


def test_a_folder_that_load_dataset_reads(
    source: Path, run: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (source / "train.csv").write_text("text,labels\na,x\nb,y\n")
    dataset = run(format="hub")
    assert dataset.texts("labels")[:] == ["x", "y"] and dataset.texts("train")[:] == ["a", "b"]


def test_a_name_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def load(name: str) -> Any:
        if name != "me/data":
            raise datasets.exceptions.DatasetNotFoundError(f"Dataset '{name}' doesn't exist on the Hub")
        table = datasets.Dataset.from_list([{"text": "a", "labels": ["x"]}])
        return datasets.DatasetDict({"train": table, "validation": table})

    monkeypatch.setattr(datasets, "load_dataset", load)
    with caplog.at_level(logging.WARNING):
        dataset = import_folder("me/data", tmp_path / "out", format="hub", progress=False)
    assert dataset.name == "data" and dataset.manifest.sources == [{"format": "hub", "source": "me/data"}]
    assert "splits left aside: validation" in caplog.text
    with pytest.raises(DataError, match="me/other: expected a Hugging Face data set"):
        import_folder("me/other", tmp_path / "out2", format="hub", progress=False)


def test_no_train_split(source: Path, run: Callable[..., Dataset]) -> None:
    _write_hub(source, {"test": [{"text": "a", "labels": ["x"]}]})
    with pytest.raises(DataError, match="expected a split named train, got test"):
        run()


@pytest.mark.parametrize("kind", WRITERS)
def test_integers_are_uids_where_uids_are_integers(tmp_path: Path, kind: str) -> None:
    """And numbers of labels elsewhere, and under target_ind."""
    labels = [{"uid": uid, "text": f"label {uid}"} for uid in (3, 1, 2)]
    rows = [{"text": "uno", "labels": [1]}, {"text": "dos", "labels": [2, 3]}]
    (tmp_path / "source").mkdir()
    WRITERS[kind](tmp_path / "source", {"train": rows, "labels": labels})
    made = import_folder(tmp_path / "source", tmp_path / "made")
    assert [made.uids("labels")[label] for label in made.relevance("train")[0].indices] == ["1"]
    assert sorted(made.relevance("train")[1].indices) == [0, 2]


def test_numbers_of_labels_under_their_own_name(tmp_path: Path) -> None:
    _write_jsonl(
        tmp_path,
        {
            "train": [{"text": "uno", "target_ind": [1]}],
            "labels": [{"uid": uid, "text": f"label {uid}"} for uid in (3, 1, 2)],
        },
    )
    made = import_folder(tmp_path, tmp_path / "made")
    assert made.relevance("train").indices.tolist() == [1]


def test_an_integer_that_is_no_uid_is_told(tmp_path: Path) -> None:
    _write_jsonl(
        tmp_path,
        {
            "train": [{"text": "uno", "labels": [0]}],
            "labels": [{"uid": uid, "text": f"label {uid}"} for uid in (3, 1, 2)],
        },
    )
    with pytest.raises(DataError, match="expected the uid of a label, got '0', which no label has"):
        import_folder(tmp_path, tmp_path / "made")


def test_blank_lines_at_the_end_of_json_lines_are_none(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "uno", "labels": ["a"]}\n\n  \n', encoding="utf-8")
    assert import_folder(tmp_path, tmp_path / "made").num_train == 1
    (tmp_path / "train.jsonl").write_text('{"text": "uno", "labels": ["a"]}\n\n{}\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 3.*a blank line before"):
        import_folder(tmp_path, tmp_path / "again")
