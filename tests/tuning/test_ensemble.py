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
from xmc.prediction.classifying import TrainingWords
from xmc.prediction.encoded import EncodedData
from xmc.prediction.ensembling import ChosenEnsemble, Stage, rank_test
from xmc.prediction.label_source import find_calibration
from xmc.retrieval import LabelIndex
from xmc.retrieval.ensemble import Ensemble, EnsembleOptions
from xmc.retrieval.generations import current_generation
from xmc.retrieval.vote import VoteOptions
from xmc.retrieval.words.classifiers import WordClassifiers
from xmc.retrieval.words.learning import taught
from xmc.tuning import ensemble as ensemble_module
from xmc.tuning import fit_work
from xmc.tuning.choice import Choice, read_choices, write_choices
from xmc.tuning.ensemble import (
    _said,
    chosen_ensemble,
    ensemble_choices,
    ensemble_of,
    of_recipe,
    of_rows,
)
from xmc.tuning.held_out import HeldOut, Learned

OPTIONS = EnsembleOptions(VoteOptions(0.3, 0.1), 0.05, 0.2)
NONE = np.full((20, 1), -1), np.full((20, 1), -np.inf)


def stage(name: str, value: float) -> Stage:
    return Stage(name, dict.fromkeys(("P@1", "nDCG@5", "PSP@5", "R@100"), value), 1.0)


def test_choices_say_why_and_come_back_from_their_file(tmp_path: Path) -> None:
    values = {"labels": 50.0, "classified": 51.0, "with vote": 51.5, "with words": 52.25}
    stages = tuple(stage(name, value) for name, value in values.items())
    choices = ensemble_choices(ChosenEnsemble(OPTIONS, stages, np.arange(20), NONE), "nDCG@5")
    assert "nDCG@5 50.00 to 51.00" in choices[0].reason
    assert "nDCG@5 51.00 to 51.50" in choices[1].reason
    assert "R@100 51.50 to 52.25" in choices[2].reason
    write_choices(tmp_path / "choices.json", [Choice("seed", 0, ""), *choices])
    read = read_choices(tmp_path / "choices.json")
    assert read is not None and ensemble_of(read) == OPTIONS
    assert [choice.option for choice in of_recipe(read)] == ["seed"]


def test_nothing_is_added_where_nothing_helps_or_was_measured() -> None:
    none = ensemble_choices(
        ChosenEnsemble(EnsembleOptions(), (stage("labels", 50.0),), np.arange(20), NONE), "nDCG@5"
    )
    assert not ensemble_of(none) and all("none raises nDCG@5" in choice.reason for choice in none[:2])
    assert "no share raises nDCG@5 or R@100 beyond chance" in none[2].reason
    unknown = ensemble_choices(None, "nDCG@5")
    assert not ensemble_of(unknown) and "no trial ranked" in unknown[1].reason
    assert not ensemble_of([])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("index.vote", {"weight": 0.1}),
        ("index.vote", 3),
        ("index.lexical", "much"),
        ("index.classifiers", "much"),
    ],
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
    shares = [Choice("index.lexical", 0.05, ""), Choice("index.classifiers", 0.2, "")]
    monkeypatch.setattr(fit_work, "ensemble_choices", lambda found, metric: [_choice(found.options), *shares])
    fixed = {"encoder.model": str(static_model), "training.epochs": 2.0}
    result = fit(dataset, tmp_path / "fit", budget=1000.0, fixed=fixed, say=lambda line: None)
    held = seen[0]
    assert held.lists[0].shape == (len(held.rows), 100) and held.near[0].shape == (len(held.rows), 100)
    assert len(held.voters) == 119 and not (held.voters[held.near[0].clip(0)] == held.rows[:, None]).any()
    # Of every fold, the hard ones among them.
    assert (
        sum(count for count, _ in held.learned) == len(held.rows) and len(held.learned) == fit_work.MOST_FOLDS
    )
    start = 0
    for count, learned in held.learned:
        own = held.rows[start : start + count]
        assert learned.confused.shape == (len(learned.rows), 30) and (learned.confused >= 0).all()
        assert sorted([*learned.rows, *own]) == held.voters.tolist()
        start += count
    assert ("ensemble" in result.evaluations) == bool(share) and "ensemble" in result.table()
    counts = {name: evaluation.num_queries for name, evaluation in result.sampled.items()}
    assert counts == ({} if share else {"trained": 5, "ensemble": 5})
    index = LabelIndex.load(result.index)
    assert index.manifest.ensemble == OPTIONS
    classifiers = WordClassifiers.read(result.index / current_generation(result.index))
    assert np.isfinite(classifiers.biases).sum() == len(taught(dataset.relevance("train"))) > 20
    votes, scores = index.search(["query1 query2"], 5)
    calibration = find_calibration(index)
    assert calibration is not None and "held-out rows of words, ranked with vote" in calibration.rows
    assert votes.shape == (1, 5) and np.isfinite(scores).all()
    assert "index" not in yaml.safe_load((tmp_path / "fit" / "recipe.yaml").read_text())
    kept = json.loads((tmp_path / "fit" / "choices.json").read_text())
    assert {"weight": 0.3, "temperature": 0.1} in [choice["value"] for choice in kept]


def test_classifiers_are_judged_on_rows_that_they_have_not_learned(dataset: Dataset) -> None:
    words = TrainingWords(dataset, dataset.texts("train"))
    words.__dict__["expected_seconds"] = 1.0
    every = np.arange(120)
    ids = np.tile(np.arange(30), (3, 1))
    lists = (ids, -ids.astype(np.float32))
    folds = [(rows, np.setdiff1d(every, rows)) for rows in (np.array([3, 5]), np.array([9]))]
    learned = tuple(
        (len(rows), Learned(others, np.tile(np.arange(30), (len(others), 1)))) for rows, others in folds
    )
    held = HeldOut(np.array([3, 5, 9]), lists, lists, every, 0.0, learned=learned)
    said, took = _said(held, words, words.texts[held.rows], seconds=100.0)
    assert said is not None and took > 0
    for places, (_, own) in zip(([0, 1], [2]), learned, strict=True):
        one = words.classifiers(own.rows, own.confused)
        assert one is not None
        np.testing.assert_array_equal(said[places], one.scores(words.texts[held.rows[places]], ids[places]))
    words.__dict__["expected_seconds"] = 60.0  # a second fold would take longer than is left
    clock = iter([0.0, 0.0, 0.0, 0.0, 50.0, 50.0, 50.0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble_module.time, "perf_counter", lambda: next(clock))
        patch.setattr(words, "classifiers", lambda rows, confused, seconds: one)
        some, _ = _said(held, words, words.texts[held.rows], seconds=100.0)
    assert some is not None and np.isnan(some[2]).all() and np.isfinite(some[:2]).any()
    assert _said(held, words, words.texts[held.rows], seconds=59.0)[0] is None


def test_metrics_of_some_test_rows(dataset: Dataset, static_model: Path) -> None:
    encoder = DualEncoder.load(static_model)
    whole = evaluate(encoder, dataset, progress=False)
    every, lists, _ = rank_test(
        EncodedData(encoder, dataset, progress=False), Ensemble(EnsembleOptions(), None, lambda: [])
    )
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
