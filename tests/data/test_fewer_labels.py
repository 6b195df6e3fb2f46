from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xmc.data import Dataset, DatasetWriter
from xmc.data.fewer_labels import without_unseen
from xmc.data.unseen_labels import split_labels
from xmc.errors import ConfigError, XMCError


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Row i has labels i and i + 1, of different weights; each row filters label 0."""
    with DatasetWriter(tmp_path / "whole", name="toy", label_fields=["title"]) as writer:
        for label in range(21):
            writer.add_label(f"l{label}", f"label {label}", "more")
        for row in range(20):
            writer.add_row("train", f"q{row}", f"query {row}", "", [row, row + 1], [0.5, 2.0])
            writer.add_row("test", f"t{row}", f"test {row}", "", [row])
            writer.add_filter("train", row, 0)
            writer.add_filter("test", row, 0)
    return Dataset.load(tmp_path / "whole")


def test_what_is_left_has_no_trace_of_the_unseen_labels(dataset: Dataset, tmp_path: Path) -> None:
    parted = split_labels(dataset, tmp_path / "unseen", unseen=0.4)
    seen = without_unseen(parted, tmp_path / "seen")
    stays = np.setdiff1d(np.arange(21), parted.unseen_labels)
    assert 0 < len(stays) < 21
    assert seen.uids("labels")[:] == [f"l{label}" for label in stays]
    assert seen.texts("labels")[:] == [f"label {label}" for label in stays]
    assert list(seen.unseen_labels) == [] and seen.manifest.label_fields == ("title",)
    for split in ("train", "test"):
        before = parted.relevance(split).toarray()[:, stays]
        rows = np.flatnonzero(before.any(axis=1))
        np.testing.assert_array_equal(seen.relevance(split).toarray(), before[rows])
        prefix = "q" if split == "train" else "t"
        numbers = [int(uid[1:]) for uid in parted.uids(split)[:]]
        assert seen.uids(split)[:] == [f"{prefix}{numbers[row]}" for row in rows]
        whole, left = parted.filter(split), seen.filter(split)
        kept = whole.toarray()[rows][:, stays]  # type: ignore[union-attr]
        assert (left is None) == (not kept.any())
        if left is not None:
            np.testing.assert_array_equal(left.toarray(), kept)
    with pytest.raises(XMCError, match="overwrite"):
        without_unseen(parted, tmp_path / "seen")


def test_a_data_set_without_unseen_labels_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="labels held out of training, toy has none"):
        without_unseen(dataset, tmp_path / "seen")
