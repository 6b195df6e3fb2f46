"""What a fit ranks with beside its model: chosen on held-out rows, kept in its choices and its index."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from xmc import fit
from xmc.data import Dataset
from xmc.encoders import DualEncoder
from xmc.errors import DataError
from xmc.evaluation import comparison_table, evaluate
from xmc.prediction import ensembling
from xmc.prediction.ensembling import ChosenEnsemble, Stage, rank_test
from xmc.prediction.label_source import find_calibration
from xmc.retrieval import LabelIndex
from xmc.retrieval.ensemble import Ensemble, EnsembleOptions
from xmc.retrieval.vote import VoteOptions
from xmc.tuning import fit_work
from xmc.tuning.choice import Choice, read_choices, write_choices
from xmc.tuning.ensemble import (
    chosen_ensemble,
    ensemble_choices,
    ensemble_of,
    of_recipe,
    of_rows,
)
from xmc.tuning.held_out import HeldOut

OPTIONS = EnsembleOptions(VoteOptions(0.3, 0.1), 0.05)
NONE = np.full((20, 1), -1), np.full((20, 1), -np.inf)


def stage(name: str, value: float) -> Stage:
    return Stage(name, dict.fromkeys(("P@1", "nDCG@5", "PSP@5", "R@100"), value), 1.0)


def test_choices_say_why_and_come_back_from_their_file(tmp_path: Path) -> None:
    stages = (stage("labels", 50.0), stage("with vote", 51.5), stage("with words", 52.25))
    choices = ensemble_choices(ChosenEnsemble(OPTIONS, stages, np.arange(20), NONE), "nDCG@5")
    assert "nDCG@5 51.50, 50.00 without" in choices[0].reason
    assert "R@100 52.25, 51.50 without" in choices[1].reason
    write_choices(tmp_path / "choices.json", [Choice("seed", 0, ""), *choices])
    read = read_choices(tmp_path / "choices.json")
    assert read is not None and ensemble_of(read) == OPTIONS
    assert [choice.option for choice in of_recipe(read)] == ["seed"]


def test_nothing_is_added_where_nothing_helps_or_was_measured() -> None:
    none = ensemble_choices(
        ChosenEnsemble(EnsembleOptions(), (stage("labels", 50.0),), np.arange(20), NONE), "nDCG@5"
    )
    assert not ensemble_of(none) and "no vote of training queries raises nDCG@5" in none[0].reason
    unknown = ensemble_choices(None, "nDCG@5")
    assert not ensemble_of(unknown) and "no trial ranked" in unknown[1].reason
    assert not ensemble_of([])


@pytest.mark.parametrize(
    ("option", "value"), [("index.vote", {"weight": 0.1}), ("index.vote", 3), ("index.lexical", "much")]
)
def test_choices_that_are_none_are_refused(option: str, value: object) -> None:
    with pytest.raises(DataError, match=f"the choices of xmc fit: expected a .*{option}"):
        ensemble_of([Choice(option, value, "")])


@pytest.mark.parametrize("share", [0.1, 0.0], ids=["all test queries", "some"])
def test_a_fit_ranks_with_what_it_chose(
    dataset: Dataset, static_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    monkeypatch.setattr(ensembling, "LEAST_ROWS", 5)
    monkeypatch.setattr(fit_work, "BESIDE_SHARE", share)
    seen: list[HeldOut] = []

    def chosen(held_out: HeldOut, *rest: Any) -> ChosenEnsemble:
        seen.append(held_out)
        return replace(chosen_ensemble(held_out, *rest), options=OPTIONS)

    monkeypatch.setattr(fit_work, "chosen_ensemble", chosen)
    monkeypatch.setattr(fit_work, "neighbours", lambda *_: [])
    words = Choice("index.lexical", 0.05, "")
    monkeypatch.setattr(fit_work, "ensemble_choices", lambda found, metric: [_choice(found.options), words])
    fixed = {"encoder.model": str(static_model), "training.epochs": 2.0}
    result = fit(dataset, tmp_path / "fit", budget=1000.0, fixed=fixed, say=lambda line: None)
    held = seen[0]
    assert held.lists[0].shape == (len(held.rows), 100) and held.near[0].shape == (len(held.rows), 100)
    assert len(held.voters) == 119 and not (held.voters[held.near[0].clip(0)] == held.rows[:, None]).any()
    assert ("ensemble" in result.evaluations) == bool(share) and "ensemble" in result.table()
    counts = {name: evaluation.num_queries for name, evaluation in result.sampled.items()}
    assert counts == ({} if share else {"trained": 5, "ensemble": 5})
    index = LabelIndex.load(result.index)
    assert index.manifest.ensemble == OPTIONS
    votes, scores = index.search(["query1 query2"], 5)
    calibration = find_calibration(index)
    assert calibration is not None and "held-out rows of words, ranked with vote" in calibration.rows
    assert votes.shape == (1, 5) and np.isfinite(scores).all()
    assert "index" not in yaml.safe_load((tmp_path / "fit" / "recipe.yaml").read_text())
    kept = json.loads((tmp_path / "fit" / "choices.json").read_text())
    assert {"weight": 0.3, "temperature": 0.1} in [choice["value"] for choice in kept]


def test_metrics_of_some_test_rows(dataset: Dataset, static_model: Path) -> None:
    encoder = DualEncoder.load(static_model)
    whole = evaluate(encoder, dataset, progress=False)
    every, lists, _ = rank_test(encoder, dataset, Ensemble(EnsembleOptions(), None, lambda: []))
    names = [name for name in whole.metrics if name.partition("@")[0] in ("P", "PSP", "R")]
    again = of_rows(whole, dataset, every, lists, names)
    assert again.metrics == pytest.approx({name: whole.metrics[name] for name in names})
    assert (again.num_queries, again.filtered_pairs) == (whole.num_queries, whole.filtered_pairs)
    rows = every[::3]
    some = of_rows(whole, dataset, rows, (lists[0][rows], lists[1][rows]), names)
    assert some.num_queries == len(rows)
    assert f"{len(rows)} queries" in comparison_table({"trained": some, "ensemble": some})


def _choice(options: EnsembleOptions) -> Choice:
    assert options.vote is not None
    vote = {"weight": options.vote.weight, "temperature": options.vote.temperature}
    return Choice("index.vote", vote, "")
