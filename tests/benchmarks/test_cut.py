"""A cut keeps the rows it says, the labels they have, and the queries those labels answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.cut import cut, main
from xmc.data import Dataset
from xmc.data.manifest import Split
from xmc.data.writer import DatasetWriter


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Sixty training and ten test rows over thirty labels, of which a row and its filter have a few."""
    rng = np.random.default_rng(1)
    with DatasetWriter(tmp_path / "data", name="few", label_fields=["title"]) as writer:
        for label in range(30):
            writer.add_label(f"l{label}", f"label {label}")
        splits: tuple[tuple[Split, int], ...] = (("train", 60), ("test", 10))
        for split, rows in splits:
            for row in range(rows):
                *labels, excluded = rng.choice(30, 3, replace=False).tolist()
                place = writer.add_row(split, f"{split}{row}", f"query {row}", "", labels)
                writer.add_filter(split, place, excluded)
    return Dataset.load(tmp_path / "data")


@pytest.mark.parametrize("seed", [0, None])
def test_a_cut_keeps_rows_and_the_pairs_of_their_labels(
    dataset: Dataset, tmp_path: Path, seed: int | None
) -> None:
    left = cut(dataset, str(tmp_path / "cut"), 20, seed=seed)
    assert left.num_train == 20 and left.name == ("few-20-first" if seed is None else "few-20")
    rows = {uid: row for row, uid in enumerate(dataset.uids("train"))}
    chosen = [rows[uid] for uid in left.uids("train")]
    assert chosen == sorted(chosen)
    assert (chosen == list(range(20))) is (seed is None)
    relevance = dataset.relevance("train")[chosen]
    stays = np.flatnonzero(relevance.getnnz(axis=0))
    assert [dataset.uids("labels")[label] for label in stays] == list(left.uids("labels"))
    assert (left.relevance("train") != relevance[:, stays]).nnz == 0
    assert 0 < len(stays) < 30  # some labels went
    excluded = dataset.filter("train")
    kept = left.filter("train")
    assert excluded is not None and kept is not None
    assert kept.nnz > 0 and (kept != excluded[chosen][:, stays]).nnz == 0
    answered = dataset.relevance("test")[:, stays]
    answered = answered[answered.getnnz(axis=1) > 0]
    assert (left.relevance("test") != answered).nnz == 0


def test_few_labels_are_those_of_the_most_rows(dataset: Dataset, tmp_path: Path) -> None:
    left = cut(dataset, str(tmp_path / "cut"), 5, labels=3)
    counts = dict(zip(dataset.uids("labels"), dataset.relevance("train").getnnz(axis=0), strict=True))
    lowest = min(counts[uid] for uid in left.uids("labels"))
    assert left.num_train == 5 and left.num_labels <= 3 and left.name == "few-5-of-3-labels"
    assert sum(count > lowest for count in counts.values()) < 3
    assert left.relevance("train").getnnz(axis=1).min() >= 1


def test_too_many_rows_are_refused(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(dataset.path), str(tmp_path / "cut"), "--rows", "999999"]) == 1
    assert "999,999 were asked for" in capsys.readouterr().err
    assert not (tmp_path / "cut").exists()
