"""Labels of a data set that are added, changed and removed."""

from __future__ import annotations

import pytest

from xmc.data import Dataset, DatasetWriter
from xmc.data.changing import LabelChanges, change_labels
from xmc.errors import ConfigError, DataError, XMCError


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    with DatasetWriter(
        tmp_path / "data", name="things", query_fields="title", label_fields="title"
    ) as writer:
        for number, text in enumerate(("house", "tree", "bird")):
            writer.add_label(f"l{number}", text, f"a {text}")
        writer.add_row("train", "q0", "a house and a tree", "", [0, 1], [1.0, 0.5])
        writer.add_row("train", "q1", "a tree", "", [1])
        writer.add_row("train", "q2", "nothing", "", [])
        writer.add_row("test", "t0", "a bird", "", [2])
        writer.add_filter("train", 0, 2)
        writer.add_filter("train", 1, 0)
        writer.unseen_labels = ["l1", "l2"]
    return Dataset.load(tmp_path / "data")


def test_all_three_in_place(dataset: Dataset) -> None:
    changes = LabelChanges([("new", "river", "")], {"l2": ("birds", "many")}, frozenset({"l1"}))
    changed, left_out = change_labels(dataset, changes)
    assert left_out == {"train": 1, "test": 0}
    assert changed.path == dataset.path and Dataset.load(dataset.path).fingerprint == changed.fingerprint
    assert list(changed.uids("labels")) == ["l0", "l2", "new"]
    assert list(changed.texts("labels", ["title", "content"])) == ["house a house", "birds many", "river"]
    assert list(changed.uids("train")) == ["q0", "q2"] and list(changed.uids("test")) == ["t0"]
    assert changed.relevance("train").toarray().tolist() == [[1, 0, 0], [0, 0, 0]]
    assert changed.relevance("test").toarray().tolist() == [[0, 1, 0]]
    assert changed.filter("train").toarray().tolist() == [[False, True, False], [False] * 3]
    assert changed.unseen_labels.tolist() == [1]
    assert changed.manifest.label_fields == ("title",)
    assert changed.manifest.sources[0]["from"] == dataset.fingerprint
    changed.verify()


def test_weights_stay_and_another_folder_is_made(dataset: Dataset, tmp_path) -> None:
    changed, _ = change_labels(dataset, LabelChanges([("new", "river", "")]), tmp_path / "out")
    assert changed.relevance("train").toarray()[0].tolist() == [1.0, 0.5, 0.0, 0.0]
    assert Dataset.load(tmp_path / "data").num_labels == 3
    with pytest.raises(XMCError, match="not to exist yet"):
        change_labels(dataset, LabelChanges([("new", "river", "")]), tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        (LabelChanges([("l0", "a", "")]), DataError, "1 of 1 are there"),
        (LabelChanges([("n", "a", ""), ("n", "b", "")]), DataError, "'n' again"),
        (
            LabelChanges(updated={"x": ("a", "")}),
            DataError,
            "to update, got 'x' .1 of 1 are not there.: add them",
        ),
        (LabelChanges(removed=frozenset({"x"})), DataError, "to remove, got 'x' .*: leave them out"),
        (LabelChanges((), {"l0": ("a", "")}, frozenset({"l0"})), DataError, "for both"),
        (LabelChanges(removed=frozenset({"l0", "l1", "l2"})), ConfigError, "to leave a label"),
    ],
)
def test_what_cannot_be(dataset: Dataset, changes: LabelChanges, error, said: str) -> None:
    with pytest.raises(error, match=said):
        change_labels(dataset, changes)
    assert Dataset.load(dataset.path).fingerprint == dataset.fingerprint
