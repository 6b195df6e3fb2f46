"""benchmarks/omikuji_folds.py: a query is predicted by a model that was trained without it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks import omikuji_folds
from xmc.data import Dataset, DatasetWriter
from xmc.distillation import open_teacher
from xmc.evaluation import load_predictions

NUM_ROWS = 40


class Remembers:
    """A model that knows the rows it was trained on, by their one feature, and says the label 1 of others."""

    def __init__(self, path: str) -> None:
        lines = Path(path).read_text(encoding="ascii").splitlines()[1:]
        self.known = {int(line.split()[1].split(":")[0]) for line in lines}

    def predict(self, words: list[tuple[int, float]], top_k: int) -> list[tuple[int, float]]:
        known = words[0][0] in self.known
        return [(2, 0.5), (0, 0.5)] if known else [(1, 0.25)]


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    with DatasetWriter(tmp_path / "data", name="few", label_fields=["title"]) as writer:
        for label in range(3):
            writer.add_label(f"l{label}", f"label {label}")
        for row in range(NUM_ROWS):
            writer.add_row("train", f"q{row}", f"query {row}", "", [row % 3])
        writer.add_row("test", "t0", "query", "", [0])
    trained = SimpleNamespace(train_on_data=lambda path, n_threads: Remembers(path))
    monkeypatch.setitem(sys.modules, "omikuji", SimpleNamespace(Model=trained))
    one_each = sp.identity(NUM_ROWS, dtype=np.float32, format="csr")
    monkeypatch.setattr(omikuji_folds, "tfidf", lambda texts: (None, one_each))
    return Dataset.load(tmp_path / "data")


def test_no_query_is_predicted_by_a_model_that_knows_it(dataset: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "all.npz"
    assert omikuji_folds.main([str(dataset.path), str(path), "--folds", "3"]) == 0
    ids, scores = load_predictions(path)
    assert ids[:, 0].tolist() == [1] * NUM_ROWS and (ids[:, 1:] == -1).all()
    assert np.allclose(scores[:, 0], 0.25)
    open_teacher(str(path), dataset, lists="probabilities")  # a file that distillation takes


def test_folds_that_are_not_made_have_no_predictions(dataset: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "half.npz"
    omikuji_folds.main([str(dataset.path), str(path), "--folds", "4", "--made", "2"])
    ids, _ = load_predictions(path)
    fold = omikuji_folds.folds_of(NUM_ROWS, 4, seed=0)
    assert ((ids[:, 0] == 1) == (fold < 2)).all() and 0 < (fold < 2).sum() < NUM_ROWS
    open_teacher(str(path), dataset, lists="probabilities")


def test_lists_are_by_score_and_then_by_label() -> None:
    rows = sp.csr_matrix(np.array([[0.0, 1.0], [1.0, 0.0]], dtype=np.float32))
    model = SimpleNamespace(predict=lambda words, top_k: [(7, 0.1), (5, 0.9), (3, 0.1)])
    ids, scores = omikuji_folds.predict_rows(model, rows, 4)
    assert ids.tolist() == [[5, 3, 7, -1]] * 2
    assert np.allclose(scores[0, :3], [0.9, 0.1, 0.1]) and np.isneginf(scores[0, 3])


@pytest.mark.parametrize("words", [["--folds", "1"], ["--folds", "3", "--made", "4"], ["--made", "0"]])
def test_folds_out_of_range_are_refused(words: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        omikuji_folds.main(["data", str(tmp_path / "out.npz"), *words])
