"""A search within a time, by a clock that moves with what trials are said to cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tests.tuning.test_rules import FACTS
from xmc.errors import ConfigError, DataError
from xmc.nested import flat
from xmc.training import TrainConfig
from xmc.tuning import search as module
from xmc.tuning.budget import Budget
from xmc.tuning.candidates import neighbours
from xmc.tuning.choice import with_options
from xmc.tuning.journal import Journal
from xmc.tuning.search import Search
from xmc.tuning.trial import Pace, TrialResult
from xmc.tuning.trial_files import TrialFiles

CANDIDATES = [
    {"training.learning_rate": 0.2},
    {"encoder.dropout": 0.0},
    {"objective.scale": 30.0},
    {"training.epochs": 8.0},
]


class Clock(Budget):
    """Time that only trials take."""

    now = 0.0

    @property
    def used(self) -> float:
        return self.spent + self.now


class Laboratory:
    """Trials whose result is decided by what was changed, and by the fold."""

    def __init__(self, clock: Clock, cost: float, worth: Callable[[TrainConfig], float]) -> None:
        self.clock, self.cost, self.worth, self.made = clock, cost, worth, list[TrainConfig]()

    def __call__(
        self, config: TrainConfig, *_: object, stop: Callable[[Pace], bool], **__: object
    ) -> TrialResult:
        share = config.training.epochs / 4
        seconds = self.cost * share
        if stop(Pace(10, 100, seconds / 100, seconds / 10)):
            self.clock.now += seconds / 10
            return TrialResult(None, seconds / 10, 10, seconds / 100, ended="out of time")
        self.clock.now += seconds
        self.made.append(config)
        return TrialResult({"nDCG@5": self.worth(config)}, seconds, 100, seconds / 100)


def worth(config: TrainConfig) -> float:
    value = 50.0 + 3 * (config.training.learning_rate == 0.2) + 2 * (config.encoder.dropout == 0.0)
    return value - 4 * (config.objective.scale == 30.0) + (config.seed - 3)


@pytest.fixture
def start(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Search, Laboratory]]:
    def started(
        seconds: float, cost: float = 10.0, worth: Callable[[TrainConfig], float] = worth, folds: int = 1
    ) -> Any:
        clock = Clock(seconds)
        laboratory = Laboratory(clock, cost, worth)
        monkeypatch.setattr(module, "run_trial", laboratory)
        journal = Journal(tmp_path / "trials.jsonl", {"of": "words"})
        clock.spent = journal.seconds
        search = Search(
            config=replace(config, validation=replace(config.validation, rows=1_000)),
            dataset=None,  # type: ignore[arg-type]
            candidates=CANDIDATES,
            metric="nDCG@5",
            rows=100_000,
            folds=folds,
            budget=clock,
            reserve=lambda whole: 1.2 * whole,
            journal=journal,
            kept=TrialFiles(tmp_path / "held-out"),
        )
        return search, laboratory

    return started


def test_what_helps_alone_is_mixed(start: Any) -> None:
    search, laboratory = start(1000.0)
    best = search.run()
    assert best.changes == {"training.learning_rate": 0.2, "encoder.dropout": 0.0} and best.value == 55.0
    assert len(laboratory.made) >= 6


def test_a_change_that_is_refused_is_told_and_the_others_are_tried(start: Any) -> None:
    def refuses(config: TrainConfig) -> float:
        if config.encoder.dropout == 0.0:
            raise ConfigError("encoder.dropout: expected more")
        return worth(config)

    search, _ = start(1000.0, worth=refuses)
    told: list[Any] = []
    search.tell = lambda trial, best: told.append(trial)
    assert search.run().changes == {"training.learning_rate": 0.2}
    ended = [trial.ended for trial in told if trial.value is None]
    assert ended == ["refused: encoder.dropout: expected more"]
    again = Journal(search.journal.path, {"of": "words"})
    assert again.find({"encoder.dropout": 0.0}, 0).ended == ended[0]  # type: ignore[union-attr]


def test_options_that_are_no_recipe_are_told_too(start: Any) -> None:
    search, laboratory = start(1000.0)
    search.candidates = [{"objective.virtual_negative": 1.1}, *CANDIDATES[:1]]
    assert search.run().changes == {"training.learning_rate": 0.2}
    refused = search.journal.find({"objective.virtual_negative": 1.1}, 0)
    assert refused is not None and refused.value is None
    assert refused.ended.startswith("refused: objective.virtual_negative: expected a cosine")
    assert all(made.objective.virtual_negative is None for made in laboratory.made)


def test_a_search_that_is_done_or_cut_short_tries_nothing_else(start: Any) -> None:
    def begun() -> Any:
        search, laboratory = start(10_000.0, folds=10)
        search.candidates = [{"training.learning_rate": 0.1 + 0.01 * n} for n in range(1, 12)] + CANDIDATES[
            1:3
        ]
        return search, laboratory

    whole, laboratory = begun()
    best = whole.run()
    expected = [(trial.changes, trial.fold) for trial in whole.journal.trials]
    again, idle = begun()
    assert again.run() == best and not idle.made
    whole.journal.path.unlink()
    search, _ = begun()

    def interrupt(trial: Any, best: object) -> None:
        if trial.fold == 6:
            raise KeyboardInterrupt

    search.tell = interrupt
    with pytest.raises(KeyboardInterrupt):
        search.run()
    search, _ = begun()
    assert search.run() == best
    assert [(trial.changes, trial.fold) for trial in search.journal.trials] == expected


def test_the_rules_own_recipe_is_not_refused_quietly(start: Any) -> None:
    def refuses(config: TrainConfig) -> float:
        raise ConfigError("no recipe will do")

    search, _ = start(1000.0, worth=refuses)
    with pytest.raises(ConfigError, match="no recipe will do"):
        search.run()


def test_time_for_the_final_training_is_kept_back(start: Any, tmp_path: Path) -> None:
    for seconds in (25.0, 40.0, 70.0, 100.0):
        (tmp_path / "trials.jsonl").unlink(missing_ok=True)
        search, laboratory = start(seconds)
        best = search.run()
        cost = 10.0 * best.changes.get("training.epochs", 4.0) / 4
        assert search.budget.left >= 1.2 * cost, seconds
        assert laboratory.made, seconds


def test_a_longer_recipe_is_not_tried_where_its_own_training_would_not_fit(start: Any) -> None:
    """It would win, and then be trained for a part of its steps."""
    longer = 0
    for seconds in range(30, 130, 5):
        search, laboratory = start(float(seconds), worth=lambda config: config.training.epochs)
        best = search.run()
        cost = 10.0 * best.changes.get("training.epochs", 4.0) / 4
        assert search.budget.left >= 1.2 * cost, seconds
        longer += cost > 10
        search.journal.path.unlink()
    assert 0 < longer < 20


def test_a_recipe_that_the_budget_does_not_hold_is_not_tried_to_its_end(start: Any) -> None:
    search, laboratory = start(15.0)
    assert search.run() is None and not laboratory.made
    assert search.budget.used == pytest.approx(1.0)


def test_little_time_begins_with_short_trials(start: Any) -> None:
    search, _ = start(65.0, worth=lambda config: worth(config) + config.training.epochs)
    best = search.run()
    epochs = [trial.changes.get("training.epochs", 4.0) for trial in search.journal.trials]
    assert epochs[0] == 4.0 and min(epochs) < 2.0 and best.changes == {"training.learning_rate": 0.2}


def test_a_short_trial_may_be_the_best_recipe_unless_epochs_are_fixed(start: Any) -> None:
    """Of data that are soon learned by heart: fewer epochs are better by far."""

    def worth(config: TrainConfig) -> float:
        return 60.0 - 2 * config.training.epochs

    search, _ = start(65.0, worth=worth)
    assert search.run().changes["training.epochs"] < 2.0
    search.journal.path.unlink()
    fixed, laboratory = start(65.0, worth=worth)
    fixed.shorter, fixed.candidates = False, CANDIDATES[:3]
    assert fixed.run().changes == {}
    assert {made.training.epochs for made in laboratory.made} == {4.0}


def test_a_small_gain_does_not_replace_the_rules(start: Any) -> None:
    search, _ = start(1000.0, worth=lambda config: 50.0 + 0.1 * (config.encoder.dropout == 0.0))
    assert search.run().changes == {}


def test_the_best_are_measured_on_more_folds_and_ranked_by_the_same_ones(start: Any) -> None:
    def lucky(config: TrainConfig) -> float:
        # One change is far ahead on the first fold alone, and far behind on the others.
        return worth(config) + (9 if config.seed == 3 else -9) * (config.objective.scale == 30.0)

    search, _ = start(1000.0, worth=lucky, folds=3)
    best = search.run()
    assert "objective.scale" in max(search.journal.trials, key=lambda trial: trial.value).changes
    # The honest gain of 3 points goes on beside the lucky ones, and stands.
    assert best.folds == 3 and best.value == 50.0 + 1 + 3 and best.gain == 3
    assert best.changes == {"training.learning_rate": 0.2}


def test_nothing_is_searched_where_nothing_can_be_gained(start: Any) -> None:
    search, laboratory = start(1000.0, worth=lambda config: 99.9)
    assert search.run().changes == {} and len(laboratory.made) == 1


def test_a_gain_within_its_error_does_not_replace_the_rules(start: Any) -> None:
    def noisy(config: TrainConfig, by: float) -> float:
        return 50.0 + 7 * config.seed + (config.encoder.dropout == 0.0) * (2 - by * (-1) ** (config.seed % 2))

    search, _ = start(1000.0, worth=lambda config: noisy(config, 20.0), folds=6)
    search.candidates = CANDIDATES[1:2]
    assert search.run().changes == {}
    (found,) = [standing for standing in search.standings() if standing.changes == {"encoder.dropout": 0.0}]
    assert found.folds == 6 and found.gain == pytest.approx(2.0)
    assert found.error == pytest.approx(20 * (1 / 6 + 1 / 99) ** 0.5, rel=0.01)
    search.journal.path.unlink()
    search, _ = start(1000.0, worth=lambda config: noisy(config, 3.0), folds=6)
    search.candidates = CANDIDATES[1:2]
    assert search.run().changes == {"encoder.dropout": 0.0}


def test_a_sure_gain_stands_behind_a_larger_one_that_is_not(start: Any) -> None:
    def worth(config: TrainConfig) -> float:
        noise = 30 * (1 if config.seed % 2 else -1)
        return 50.0 + 3 * (config.encoder.dropout == 0.0) + (4 + noise) * (config.objective.scale == 30.0)

    search, _ = start(1000.0, worth=worth, folds=6)
    search.candidates = CANDIDATES[1:3]
    assert search.run().changes == {"encoder.dropout": 0.0}


def test_fewer_go_on_from_fold_to_fold(start: Any) -> None:
    search, _ = start(10_000.0, folds=10)
    search.candidates = [{"training.learning_rate": 0.1 + 0.01 * n} for n in range(1, 10)] + CANDIDATES[1:2]
    search.run()
    folds = [sum(t.fold == fold for t in search.journal.trials) for fold in range(10)]
    assert folds[1:] == [9, 5, *[4] * 7]  # the rules' recipe beside 8, 4 and 3 others


def test_the_rules_recipe_alone_is_measured_on_all_folds_too(start: Any) -> None:
    search, _ = start(1000.0, folds=4)
    search.candidates = []
    assert search.run().folds == 4
    assert [(trial.changes, trial.fold) for trial in search.journal.trials] == [
        ({}, fold) for fold in range(4)
    ]


def test_rankings_are_kept_of_every_fold_of_what_may_win(start: Any) -> None:
    """A fold of hard rows is as good a witness as one of easy rows."""
    search, laboratory = start(1000.0, worth=lambda config: worth(config) - 20 * (config.seed > 3), folds=4)
    kept: list[tuple[dict[str, Any], int]] = []
    made = laboratory.__call__

    def trial(config: TrainConfig, *given: object, keep: Any, **more: Any) -> TrialResult:
        result = made(config, *given, **more)
        changed = {"dropout": config.encoder.dropout, "rate": config.training.learning_rate}
        if keep(result.metrics):
            kept.append((changed, config.seed - 3))
        return result

    module.run_trial = trial  # type: ignore[assignment]
    search.run()
    rules = {"dropout": search.config.encoder.dropout, "rate": search.config.training.learning_rate}
    for changed in (rules, {"dropout": 0.0, "rate": 0.2}):
        assert {fold for one, fold in kept if one == changed} == {0, 1, 2, 3}
    # On the first fold it is 3 points behind the best: it is not going to win.
    assert ({**rules, "dropout": 0.0}, 0) not in kept


def test_a_search_goes_on_where_it_was_cut_short(start: Any) -> None:
    first, laboratory = start(1000.0)
    tell: list[object] = []

    def interrupt(trial: object, best: object) -> None:
        tell.append(trial)
        if len(tell) == 3:
            raise KeyboardInterrupt

    first.tell = interrupt
    with pytest.raises(KeyboardInterrupt):
        first.run()
    assert first.best().changes == {"training.learning_rate": 0.2}
    with first.journal.path.open("a") as file:
        file.write('{"changes": {"half')
    again, rest = start(1000.0)
    assert again.budget.spent == pytest.approx(30.0)
    whole = again.run()
    assert whole.value == 55.0
    names = [json.dumps(t.changes) + str(t.fold) for t in again.journal.trials]
    assert len(names) == len(set(names)) == len(laboratory.made) + len(rest.made)


def test_the_trials_of_another_search_are_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "trials.jsonl", {"of": "words"})
    with pytest.raises(DataError, match="another search"):
        Journal(tmp_path / "trials.jsonl", {"of": "other words"})
    with (tmp_path / "trials.jsonl").open("a") as file:
        file.write('{"changes": 3}\n')
    with pytest.raises(DataError, match="trials.jsonl: .*the trials of xmc fit"):
        Journal(tmp_path / "trials.jsonl", {"of": "words"})


def test_filter_pairs_as_negatives_are_tried_where_there_are_any(config: TrainConfig) -> None:
    change, rules = {"negatives.filter_pairs": "negative"}, flat(asdict(config))
    assert change in neighbours(rules, replace(FACTS, filter_pairs=7))
    assert change not in neighbours(rules, FACTS)


def test_a_virtual_negative_is_tried_higher_and_lower(config: TrainConfig, changed: Any) -> None:
    rules = flat(asdict(changed(config, objective={"virtual_negative": 0.7})))
    found = [c["objective.virtual_negative"] for c in neighbours(rules, FACTS) if "virtual" in str(c)]
    assert found == [0.8, 0.6]
    assert "virtual" not in str(neighbours(flat(asdict(config)), FACTS))


def test_lines_of_labels_are_tried_as_texts_where_there_are_any(config: TrainConfig) -> None:
    rules, change = flat(asdict(config)), {"data.label_texts": "lines"}
    assert change in neighbours(rules, replace(FACTS, label_lines=0.5))
    assert change not in neighbours(rules, FACTS)


@pytest.mark.parametrize("residuals", [False, True])
def test_neighbours_are_other_recipes(residuals: bool, config: TrainConfig, changed: Any) -> None:
    config = changed(config, encoder={"dropout": 0.2}, residuals={"enabled": residuals})
    rules = flat(asdict(config))
    found = neighbours(rules, FACTS)
    assert len(found) > 8 and all(with_options(config, changes) != config for changes in found)
    assert {changes["residuals.enabled"] for changes in found if "residuals.enabled" in changes} == {
        not residuals
    }


def test_the_first_trial_has_patience_and_later_ones_none() -> None:
    clock = Clock(1000.0)
    search = Search.__new__(Search)
    search.budget, search._cost = clock, 0.0
    search.journal = type("Journal", (), {"trials": []})()  # type: ignore[assignment]
    search.best = lambda: None  # type: ignore[method-assign]
    search.reserve = lambda whole: whole
    slow = Pace(10, 100, 6.0, 10.0)
    assert slow.expected == pytest.approx(550, rel=0.2)
    assert not search._hopeless(slow)  # held up, perhaps
    assert search._hopeless(replace(slow, seconds=60.0))
    assert search._hopeless(Pace(10, 100, 9.0, 10.0))  # no chance
    search.journal.trials.append(object())  # type: ignore[arg-type]
    assert search._hopeless(slow)
