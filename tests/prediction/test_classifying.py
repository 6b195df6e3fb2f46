"""Classifiers of a data set's labels: which rows are ranked for them, and what a model takes for theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xmc.data import Dataset
from xmc.encoders import DualEncoder
from xmc.evaluation import rank_labels
from xmc.prediction import classifying
from xmc.prediction.classifying import TrainingWords, confused_labels, confused_where
from xmc.prediction.encoded import EncodedData


def test_the_labels_are_those_that_the_model_ranks_first(run: Path, data: Path) -> None:
    dataset, encoder = Dataset.load(data), DualEncoder.load(run)
    rows = np.array([0, 4, 5, 60])
    found = confused_labels(EncodedData(encoder, dataset, progress=False), rows)
    expected = rank_labels(encoder, dataset, "train", 30, progress=False)[0][rows]
    np.testing.assert_array_equal(found, expected)


def test_of_many_rows_so_many_are_ranked_as_there_is_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def best(rows: np.ndarray, depth: int) -> np.ndarray:
        asked.extend(rows.tolist())
        return np.tile(rows[:, None], (1, depth))

    rows = np.arange(100, 160)
    monkeypatch.setattr(classifying, "_LEAST_RANKED", 5)
    monkeypatch.setattr(classifying, "MOST_SCORES", 1_000)
    found = confused_where(rows, 100, best, seed=1)
    assert len(asked) == 10 == len(set(asked)) and asked == sorted(asked)
    ranked = found[:, 0] >= 0
    assert found.shape == (60, 30) and rows[ranked].tolist() == asked
    np.testing.assert_array_equal(found[ranked], np.tile(rows[ranked][:, None], (1, 30)))
    assert (found[~ranked] == -1).all()
    assert confused_where(rows, 7, best).shape == (60, 7)


def test_classifiers_of_a_data_set_know_its_labels(run: Path, data: Path) -> None:
    dataset, encoder = Dataset.load(data), DualEncoder.load(run)
    words = TrainingWords(dataset, encoder.query_texts(dataset, "train"))
    rows = np.flatnonzero(np.diff(dataset.relevance("train").indptr))
    made = words.classifiers(rows, confused_labels(EncodedData(encoder, dataset, progress=False), rows))
    assert made is not None and made.num_labels == dataset.num_labels
    every = np.tile(np.arange(dataset.num_labels), (len(rows), 1))
    said = made.scores(words.texts[rows], every)
    truth = dataset.relevance("train")[rows].toarray() > 0
    taught = np.isfinite(made.biases)
    assert taught.any() and said[:, taught][truth[:, taught]].mean() > 0.5
    assert said[:, taught][~truth[:, taught]].mean() < -0.5
    assert words.expected_seconds > 0
