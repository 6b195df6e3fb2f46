"""What a trial is judged by: rows that it has not learned, but not labels that the final model will have."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.data import Dataset
from xmc.errors import NonFiniteError
from xmc.training import TrainConfig
from xmc.tuning.journal import Trial, counted
from xmc.tuning.trial import EncoderCache, judged_fairly, run_trial, seen_elsewhere, typical

# Labels 0 and 1 have rows on both sides; 2 and 3 belong to a held-out row alone.
RELEVANCE = sp.csr_matrix(
    np.array([[1, 0, 0, 0], [0.5, 1, 0, 0], [0, 1, 2, 0], [0, 0, 0, 1], [1, 0, 1, 0]], dtype=np.float32)
)


def test_labels_that_no_other_row_has_are_apart() -> None:
    kept, apart = seen_elsewhere(RELEVANCE, np.array([2, 3, 4]))
    assert kept.tolist() == [0, 2]  # row 3 has a label of its own alone
    assert apart.toarray().tolist() == [[False, False, True, False], [False, False, True, False]]


def validator_of(rows: list[int], relevance: sp.csr_matrix) -> Any:
    dataset = SimpleNamespace(relevance=lambda half: relevance)
    return SimpleNamespace(dataset=dataset, rows=np.array(rows), apart=None)


def test_rows_of_no_other_label_are_left_out_unless_all_are() -> None:
    validator = validator_of([2, 3, 4], RELEVANCE)
    judged_fairly(validator)
    assert validator.rows.tolist() == [2, 4] and validator.apart.shape == (2, 4)
    alone = validator_of([3], RELEVANCE)
    judged_fairly(alone)
    assert alone.rows.tolist() == [3] and alone.apart is None


def test_a_trial_says_why_it_was_not_trained_to_its_end(
    dataset: Dataset, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = EncoderCache()
    assert run_trial(config, dataset, cache).ended == ""
    stopped = run_trial(config, dataset, cache, stop=lambda pace: pace.step == 2)
    assert (stopped.ended, stopped.num_steps, stopped.metrics) == ("out of time", 2, None)

    def infinite(*_: object) -> None:
        raise NonFiniteError("expected a finite loss")

    def skipping(*_: object) -> SimpleNamespace:
        return SimpleNamespace(skipped="its loss is not finite")

    for step in (infinite, skipping):
        monkeypatch.setattr("xmc.tuning.trial.optimise", step)
        found = run_trial(config, dataset, cache)
        assert (found.ended, found.metrics) == ("diverged", None)


def test_a_trial_in_a_line() -> None:
    trial = Trial({"training.epochs": 10 / 3, "training.batch_size": 64}, 0, 1.0, {}, 1.0, 1, 1.0)
    assert trial.name == "training.epochs 3.333, training.batch_size 64"
    assert replace(trial, changes={"training.learning_rate": 1e-6}).name == "training.learning_rate 1e-06"
    assert [counted(number) for number in range(3)] == ["no trials", "1 trial", "2 trials"]


def test_a_step_that_waited_does_not_make_the_pace() -> None:
    assert typical([]) == 0
    assert typical([0.9, 0.1, 0.1, 0.1, 0.1, 9.0]) == pytest.approx(0.1)
    assert typical([2.0] * 6) == pytest.approx(2.0), "a slow machine is told"
