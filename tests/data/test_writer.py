from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import xmc.data.table_writer as table_writer
from xmc.data import Dataset, DatasetWriter, describe, npz
from xmc.data.columns import read_columns
from xmc.data.texts import SCHEMA
from xmc.errors import ConfigError, DataError, XMCError


def test_labels_may_come_after_rows(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "out", name="x") as writer:
        assert writer.add_row("train", "q", "query", "", [1, 0, 1], [0.5, 1.0, 0.25]) == 0
        assert [writer.add_label("a", "A"), writer.add_label("b", "B")] == [0, 1]
        assert (writer.num_labels, writer.num_rows("train"), writer.label_id("b")) == (2, 1, 1)
    dataset = Dataset.load(tmp_path / "out")
    assert dataset.relevance("train").toarray().tolist() == [[1.0, 0.5]]
    assert describe(dataset).folded_duplicates == 1


def test_many_small_flushes_keep_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_writer, "_FLUSH_ROWS", 3)
    with DatasetWriter(tmp_path / "out", name="x") as writer:
        for label in range(10):
            writer.add_label(f"l{label}", f"label {label}")
    assert list(Dataset.load(tmp_path / "out").texts("labels")) == [f"label {label}" for label in range(10)]


def test_what_packs_too_well_is_written_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz, "UNPACKED_ARRAY_BYTES", 10_000)
    with DatasetWriter(tmp_path / "out", name="x") as writer:
        writer.add_label("a", "A")
        for row in range(20_000):
            writer.add_row("train", "q", "the same text " * 10, "", [0])
            writer.add_filter("train", row, 0)
    dataset = Dataset.load(tmp_path / "out")
    assert set(dataset.texts("train")) == {"the same text " * 10} and dataset.relevance("train").nnz == 20_000
    filtered = dataset.filter("train")
    assert filtered is not None and filtered.nnz == 20_000
    pq.write_table(pq.read_table(tmp_path / "out" / "train.parquet"), tmp_path / "a.parquet")
    with pytest.raises(
        ValueError, match=r"write it plain \(in pyarrow compression='none', use_dictionary=False"
    ):
        read_columns(tmp_path / "a.parquet", SCHEMA)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda w: w.add_label("a", "again"), "each label uid once, got 'a' again, the uid of label 0"),
        (lambda w: w.add_row("train", "q", "t", "", [1]), "train row 0 .* below 1, .* got 1"),
        (lambda w: w.add_row("train", "q", "t", "", [-1]), "label id between 0"),
        (lambda w: w.add_row("train", "q", None, "", [0]), "to be text"),
        (lambda w: w.add_row("train", "q", "half \ud800", "", [0]), "fits UTF-8"),
        (lambda w: w.add_filter("test", 0, 0), "filter of test: expected a row between 0 and -1, got 0"),
    ],
)
def test_mistakes_leave_nothing(
    mistake: Callable[[DatasetWriter], object], message: str, tmp_path: Path, nothing_left: Callable[[], bool]
) -> None:
    with pytest.raises(DataError, match=message):
        with DatasetWriter(tmp_path / "out", name="x") as writer:
            writer.add_label("a", "A")
            mistake(writer)
    assert nothing_left()


def test_interruption_leaves_nothing_and_keeps_the_old(tmp_path: Path, build: Callable[..., Dataset]) -> None:
    old = build([[0]], "out")
    with pytest.raises(KeyboardInterrupt):
        with DatasetWriter(old.path, name="new", overwrite=True) as writer:
            writer.add_label("a", "A")
            raise KeyboardInterrupt
    assert Dataset.load(old.path).name == "out"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_overwrite(build: Callable[..., Dataset]) -> None:
    build([[0]])
    with pytest.raises(XMCError, match="not to exist"):
        build([[0]])
    assert build([[0], [1]], overwrite=True).num_train == 2


def test_empty_texts_and_unlabelled_rows_are_kept_and_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), DatasetWriter(tmp_path / "out", name="x") as writer:
        writer.add_label("a", " ")
        for uid, text, ids in (("q0", "", [0]), ("q1", " \t", []), ("q2", "fine", [])):
            writer.add_row("train", uid, text, "", ids)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "x: 2 train rows have no label; training skips them",
        "x: 3 empty texts kept (2 in train, 1 in labels)",
    ]
    dataset = Dataset.load(tmp_path / "out")
    assert dataset.num_train == 3 and dataset.rows_without_labels == 2
    assert dataset.texts("train")[:] == ["", " \t", "fine"]


@pytest.mark.parametrize(
    ("label", "query", "fields"),
    [
        (("L", "a long text"), ("Q", ""), (("title",), ("title", "content"))),
        (("L", " "), ("", "body"), (("content",), ("title",))),
        (("", ""), ("", ""), (("title",), ("title",))),
        (("L", ""), ("Q", "body"), (("title", "content"), ("title",))),
    ],
)
def test_texts_are_every_field_there_is(
    tmp_path: Path, label: tuple[str, str], query: tuple[str, str], fields: tuple[tuple[str, ...], ...]
) -> None:
    with DatasetWriter(tmp_path / "out", name="x") as writer:
        writer.add_label("l0", "first", "")
        writer.add_label("l1", *label)
        writer.add_row("test", "q", *query, [1])
    dataset = Dataset.load(tmp_path / "out")
    assert (dataset.manifest.query_fields, dataset.manifest.label_fields) == fields
    assert list(dataset.texts("labels")) == ["first", " ".join(filter(str.strip, label))]


def test_wrong_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="query_fields among title, content"):
        DatasetWriter(tmp_path / "out", name="x", query_fields=["body"])
    with (
        pytest.raises(ConfigError, match="split among train, test"),
        DatasetWriter(tmp_path / "out", name="x") as w,
    ):
        w.add_row("valid", "q", "t", "", [])
