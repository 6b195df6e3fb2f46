"""A training of the GPU benchmark fits its stage, whatever data set and encoder it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import xmc.evaluation
from benchmarks.gpu_data import cut_data
from benchmarks.gpu_texts import TrainCase
from xmc.corpora.synthetic import build_synthetic
from xmc.data import Dataset
from xmc.data.writer import DatasetWriter
from xmc.encoders import DualEncoder

SMALL = TrainCase("miniature", epochs=4, labels=20, queries=200, batch=50, length=16)


class Reached(Exception):
    pass


def test_all_is_encoded_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluate(encoder: DualEncoder, *arguments: Any, **options: Any) -> None:
        found = {tensor.device.type for tensor in encoder.module.parameters()}
        raise Reached(*found)

    monkeypatch.setattr(xmc.evaluation, "evaluate", evaluate)
    with pytest.raises(Reached, match=r"^meta$"):
        SMALL.measure("meta")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More labels and rows than a training has time for."""
    folder = tmp_path_factory.mktemp("large") / "data"
    build_synthetic(folder, num_labels=60, num_queries=700, num_test=150, progress=False)
    return folder


@pytest.mark.skipif(torch.cuda.is_available(), reason="runs small on a CPU alone")
def test_a_data_set_that_is_given_is_cut_and_the_time_ends_a_training(large: Path) -> None:
    case = TrainCase("miniature", str(large), train_seconds=0, labels=30, queries=200, batch=50, length=16)
    found = case.measure("cpu")
    assert found["rows"] == {"train": 200, "test": 100, "labels": 30}
    assert found["rows_of"] == {"train": 700, "test": 150, "labels": 60}
    # Of 20 epochs of 180 rows, the others being held out.
    assert found["stopped"] == "0 s were over" and found["steps"] == 1


def test_what_is_kept_is_the_frequent_labels_and_the_first_rows(large: Path, tmp_path: Path) -> None:
    whole = Dataset.load(large)
    cut = cut_data(whole, tmp_path / "cut", labels=30, queries=200)
    counts = dict(zip(whole.uids("labels"), whole.relevance("train").getnnz(axis=0), strict=True))
    kept = set(cut.uids("labels"))
    assert len(kept) == 30
    assert min(counts[uid] for uid in kept) >= max(n for uid, n in counts.items() if uid not in kept)
    for split, most in (("train", 200), ("test", 100)):
        rows = [
            (uid, text, labels)
            for uid, text, row in zip(
                whole.uids(split), whole.texts(split), whole.relevance(split), strict=True
            )
            if (labels := {whole.uids("labels")[i] for i in row.indices} & kept)
        ]
        found = [
            (uid, text, {cut.uids("labels")[i] for i in row.indices})
            for uid, text, row in zip(cut.uids(split), cut.texts(split), cut.relevance(split), strict=True)
        ]
        assert found == rows[:most]
    assert cut_data(cut, tmp_path / "again", labels=30, queries=200) is cut


def test_filter_pairs_of_what_is_kept_are_kept(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "data", name="pairs") as writer:
        for label in "abc":
            writer.add_label(label, label)
        for row, labels in enumerate(([2], [1], [1, 2], [2])):
            writer.add_row("train", f"r{row}", "text", "", labels)
            writer.add_filter("train", row, 0)
            writer.add_filter("train", row, 1 if row == 3 else 2 if row == 1 else 0)
    cut = cut_data(Dataset.load(tmp_path / "data"), tmp_path / "cut", labels=2, queries=3)
    assert list(cut.uids("labels")) == ["b", "c"] and list(cut.uids("train")) == ["r0", "r1", "r2"]
    excluded = cut.filter("train")
    assert excluded is not None
    assert np.array_equal(excluded.toarray(), [[False, False], [False, True], [False, False]])
