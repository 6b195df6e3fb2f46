"""Labels held out of training on the page: of an evaluation as measured, of predictions as far as they go."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.fixtures.evaluations import made_up_evaluation
from xmc.data import Dataset
from xmc.evaluation import novel_metrics
from xmc.reports import page
from xmc.reports.novel import novel_labels, novel_rows
from xmc.reports.page import to_json, to_markdown
from xmc.reports.report import build_report
from xmc.reports.stored import load_evaluation, predictions_path
from xmc.reports.systems import System


@pytest.fixture
def unseen(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """The data set, with labels 0 and 20 held out of training as it says."""
    held_out = Dataset(dataset.path, dataset.manifest)
    monkeypatch.setitem(held_out.__dict__, "unseen_labels", dataset_ids(0, 20))
    return held_out


def dataset_ids(*ids: int) -> NDArray[np.int64]:
    return np.array(ids, dtype=np.int64)


def test_predictions_are_measured_and_evaluations_taken(
    unseen: Dataset, make_system: Callable[..., System]
) -> None:
    system = make_system("guess", 0.5)
    joint = novel_metrics(system.truth, system.ids, dataset_ids(0, 20), None, recall_ks=(10,))
    alone = replace(joint, disjoint=dict.fromkeys(joint.seen, 12.25))
    trained = make_system("model", 0.5, evaluation=made_up_evaluation(novel=alone))
    found = novel_labels([system, trained], unseen)
    assert found["guess"].unseen["R@10"] == joint.unseen["R@10"] and found["guess"].disjoint == {}
    assert 0 < found["guess"].unseen_queries < 60 and "PSP@1" in found["guess"].seen
    assert found["model"] == alone
    rows = novel_rows(found)
    assert [row.name for row in rows][-1] == "unseen, alone: model" and len(rows) == 7
    assert rows[-1].values == ["12.25", "12.25", "12.25", "–"]


def test_the_page_has_them_where_there_are_some(
    unseen: Dataset, dataset: Dataset, make_system: Callable[..., System], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "_figures", lambda _: dict.fromkeys(("learning", "deciles", "scores")))
    system = make_system("guess", 0.5)
    report = build_report([system], unseen)
    text = to_markdown(report)
    assert "### Labels held out of training" in text and "| harmonic mean |" in text
    assert json.loads(to_json(report))["novel"]["guess"]["num_unseen"] == 2
    without = build_report([system], dataset)
    assert without.novel == {} and "held out of training\n" not in to_markdown(without)


def test_an_evaluation_without_them_is_made_again(unseen: Dataset, tmp_path: Path) -> None:
    ranking = predictions_path(tmp_path, unseen.name, "test")
    ranking.parent.mkdir()
    ranking.touch()
    kept = made_up_evaluation(dataset=unseen.name, dataset_fingerprint=unseen.fingerprint)
    ranking.with_suffix(".json").write_text(kept.to_json())
    assert load_evaluation(tmp_path, unseen, "test", None) is None
