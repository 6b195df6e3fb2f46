from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.evaluations import made_up_evaluation
from xmc.errors import DataError
from xmc.evaluation import Evaluation, save_predictions
from xmc.reports.stored import (
    keep_evaluation,
    load_evaluation,
    place_to_keep,
    predictions_path,
    store_evaluation,
    stored_evaluations,
)

CARD = "---\nlibrary_name: sentence-transformers\n---\n\nWords.\n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "config.yaml").write_text("data: {path: d}\n")
    (tmp_path / "run" / "model" / "README.md").write_text(CARD)
    return tmp_path / "run"


@pytest.fixture
def evaluation(dataset) -> Evaluation:  # type: ignore[no-untyped-def]
    return made_up_evaluation(dataset=dataset.name, dataset_fingerprint=dataset.fingerprint)


def test_names_of_data_sets_are_made_plain() -> None:
    assert predictions_path("r", "words <b>&", "test") == Path("r/evaluations/words-b-test.npz")
    assert predictions_path("r", "../..", "train") == Path("r/evaluations/dataset-train.npz")


def test_kept_and_found_again_for_the_same_model_and_data(run, dataset, make_system, evaluation) -> None:  # type: ignore[no-untyped-def]
    system = make_system("a", 0.5)
    elsewhere = run.parent / "elsewhere.npz"
    save_predictions(elsewhere, system.ids, system.scores)
    path = keep_evaluation(run, evaluation, elsewhere)
    assert path == run / "evaluations" / "words-b-test.json" and elsewhere.is_file()
    found = load_evaluation(run, dataset, "test", "abc")
    assert found is not None and found[0] == evaluation
    np.testing.assert_array_equal(found[1], system.ids)
    assert load_evaluation(run, dataset, "test", None) is not None
    assert load_evaluation(run, dataset, "test", "another model") is None
    assert load_evaluation(run, dataset, "train", "abc") is None
    assert stored_evaluations(run) == [evaluation]
    card = (run / "model" / "README.md").read_text(encoding="utf-8")
    assert "value: 50.0" in card and card.endswith("Words.\n")


@pytest.mark.parametrize("change", [{"dataset_fingerprint": "other"}, {"depth": 10}])
def test_other_data_and_short_lists_do_not_fit(run, dataset, make_system, evaluation, change) -> None:  # type: ignore[no-untyped-def]
    system = make_system("a", 0.5)
    save_predictions(predictions_path(run, dataset.name, "test"), system.ids, system.scores)
    store_evaluation(run, replace(evaluation, **change))
    assert load_evaluation(run, dataset, "test", "abc") is None


def test_a_ranking_that_is_missing_or_of_other_rows_is_refused(run, dataset, make_system, evaluation) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match="found none"):
        store_evaluation(run, evaluation)
    system = make_system("a", 0.5)
    save_predictions(predictions_path(run, dataset.name, "test"), system.ids[:7], system.scores[:7])
    store_evaluation(run, evaluation)
    with pytest.raises(DataError, match="expected 60 rows, got 7"):
        load_evaluation(run, dataset, "test", "abc")


def test_only_a_run_keeps_rankings(run, dataset) -> None:  # type: ignore[no-untyped-def]
    assert place_to_keep(run, dataset.path, "test") == predictions_path(run, dataset.name, "test")
    assert place_to_keep(run / "model", dataset.path, "test") is None
