from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from xmc.data import Dataset, DatasetWriter, describe
from xmc.data.unseen_labels import split_labels
from xmc.errors import ConfigError

NUM_LABELS = 40


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Row i has labels i and i + 1; the last label has no training row, row 0 has none."""
    with DatasetWriter(tmp_path / "whole", name="toy", label_fields=["title"]) as writer:
        writer.query_columns = {"title": "Suchwort"}
        for label in range(NUM_LABELS):
            writer.add_label(f"l{label}", f"label {label}", "more")
        for row in range(NUM_LABELS - 2):
            labels = [row, row + 1] if row else []
            writer.add_row("train", f"q{row}", f"query {row}", "", labels, [0.5, 2.0] if row else [])
            writer.add_filter("train", row, NUM_LABELS - 1)
        for row in range(NUM_LABELS):
            writer.add_row("test", f"t{row}", f"test {row}", "", [row])
    return Dataset.load(tmp_path / "whole")


def test_unseen_labels_are_nowhere_in_training(dataset: Dataset, tmp_path: Path) -> None:
    parted = split_labels(dataset, tmp_path / "out", unseen=0.5)
    unseen = parted.unseen_labels
    assert 10 < len(unseen) < 30 and not np.isin(unseen, [0, NUM_LABELS - 1]).any()
    before, after = dataset.relevance("train"), parted.relevance("train")
    expected = before.toarray()
    expected[:, unseen] = 0
    kept = (expected.sum(axis=1) > 0) | (np.arange(len(expected)) == 0)
    assert 0 < (~kept).sum()
    np.testing.assert_array_equal(after.toarray(), expected[kept])
    assert parted.uids("train")[:] == [f"q{row}" for row in np.flatnonzero(kept)]
    excluded = parted.filter("train")
    assert excluded is not None and excluded.nnz == kept.sum() == parted.num_train
    # What is tested, and the labels, are as they were.
    assert (parted.relevance("test") != dataset.relevance("test")).nnz == 0
    assert parted.label_fingerprint == dataset.label_fingerprint
    assert parted.manifest.label_fields == ("title",)
    assert parted.manifest.query_columns == {"title": "Suchwort"}
    assert parted.manifest.files["unseen_labels.json"]["bytes"] > 0
    assert f"{len(unseen)} held out of training on purpose" in describe(parted).table()
    assert dataset.unseen_labels.tolist() == []
    again = split_labels(dataset, tmp_path / "again", unseen=0.5)
    assert again.fingerprint == parted.fingerprint
    assert split_labels(dataset, tmp_path / "other", unseen=0.5, seed=1).fingerprint != parted.fingerprint


def test_a_draw_of_fewer_labels_than_the_share_says_so(
    dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sides = set()
    for seed in range(12):
        caplog.clear()
        count = len(split_labels(dataset, tmp_path / f"{seed}", unseen=0.5, seed=seed).unseen_labels)
        # Of 40 labels 38 have training rows, so that 19 are half of them.
        said = f"{count} labels held out, fewer than the 19 that are a share of 0.5 of the 38" in caplog.text
        few = count < 0.9 * 19
        sides.add(few)
        assert said == few and ("fewer than" in caplog.text) == said
    assert sides == {True, False}


def test_a_second_split_keeps_the_list_of_the_first(dataset: Dataset, tmp_path: Path) -> None:
    first = split_labels(dataset, tmp_path / "one", unseen=0.3)
    second = split_labels(first, tmp_path / "two", unseen=0.3, seed=1)
    assert set(first.unseen_labels) < set(second.unseen_labels)
    assert not np.isin(second.relevance("train").indices, second.unseen_labels).any()


def test_a_long_uid_makes_the_list_of_unseen_labels_no_larger(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "out", name="toy") as writer:
        for label in range(2_000):
            writer.add_label("x" * 20_000 if label == 7 else f"l{label}", "a label")
        writer.unseen_labels = ["l3", "x" * 20_000]
    dataset = Dataset.load(tmp_path / "out")
    len(dataset.uids("labels"))  # what opening a table loads is not counted
    tracemalloc.start()
    try:
        assert dataset.unseen_labels.tolist() == [3, 7]
        assert tracemalloc.get_traced_memory()[1] < 100 << 20  # an array of texts takes 160 MB more
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("unseen", "message"), [(0.0, "between 0 and 1"), (1.5, "between 0 and 1")])
def test_a_share_that_cannot_be(unseen: float, message: str, dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        split_labels(dataset, tmp_path / "out", unseen=unseen)
    assert not (tmp_path / "out").exists()


def test_unseen_labels_have_to_be_tested(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "whole", name="toy") as writer:
        for label in range(4):
            writer.add_label(f"l{label}", f"label {label}")
            writer.add_row("train", f"q{label}", f"query {label}", "", [label])
    with pytest.raises(ConfigError, match="expected to leave a test row with an unseen label, got none"):
        split_labels(tmp_path / "whole", tmp_path / "out", unseen=0.5)
