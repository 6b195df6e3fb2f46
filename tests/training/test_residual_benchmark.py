"""benchmarks/residuals.py: what is taken out is out of the catalogue, and the table holds what it says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks.residuals import label_groups, main, measured, without_labels
from xmc.data import Dataset
from xmc.training.config import TrainConfig


@pytest.fixture(scope="module")
def cut(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return without_labels(dataset, tmp_path_factory.mktemp("cut") / "data", share=0.25, seed=0)


def test_what_stays_is_unchanged(dataset: Dataset, cut: Dataset) -> None:
    kept = [list(dataset.uids("labels")).index(uid) for uid in cut.uids("labels")]
    assert 0 < len(kept) < dataset.num_labels
    rows = [list(dataset.uids("train")).index(uid) for uid in cut.uids("train")]
    expected = dataset.relevance("train")[rows][:, kept]
    assert (expected != cut.relevance("train")).nnz == 0
    without = np.setdiff1d(np.arange(dataset.num_train), rows)
    assert dataset.relevance("train")[without][:, kept].nnz == 0
    assert [cut.texts("train")[i] for i in range(3)] == [dataset.texts("train")[row] for row in rows[:3]]


def test_labels_taken_out_are_the_unseen_group(dataset: Dataset, cut: Dataset) -> None:
    groups = label_groups(dataset, cut)
    assert groups.sizes[0] == dataset.num_labels - cut.num_labels
    truth = dataset.relevance("test")
    perfect = np.full((truth.shape[0], 100), -1, dtype=np.int32)
    for row in range(truth.shape[0]):
        ids = truth.indices[truth.indptr[row] : truth.indptr[row + 1]]
        perfect[row, : len(ids)] = ids
    unseen = np.isin(perfect, np.flatnonzero(groups.of == 0))
    case = measured("all but unseen", dataset, np.where(unseen, -1, perfect), groups)
    assert case.recall["R@100"]["unseen"] == 0.0 and case.recall["R@10"]["more"] == 100.0


def test_two_runs_and_their_table(
    config: TrainConfig, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    encoder = {"model": config.encoder.model, "kind": "static", "tied": False}
    data = {"path": "given by the script"}
    recipe.write_text(yaml.safe_dump({"data": data, "encoder": encoder, "run": {"dir": "given too"}}))
    quick = [
        "--validation.rows",
        "0",
        "--training.epochs",
        "1",
        "--training.batch_size",
        "40",
        "--negatives.mode",
        "all",
    ]
    words = [
        str(recipe),
        str(dataset.path),
        "--out",
        str(tmp_path / "out"),
        "--json",
        str(tmp_path / "j.json"),
    ]
    assert main([*words, *quick]) == 0
    cases = json.loads((tmp_path / "j.json").read_text())
    assert [case["model"] for case in cases] == [
        "without residuals",
        "with residuals",
        "with residuals, texts alone",
    ]
    assert cases[1]["metrics"] != cases[0]["metrics"]
    assert all(0 <= value <= 100 for case in cases for value in case["metrics"].values())
    assert capsys.readouterr().out.count("| with") == 3
