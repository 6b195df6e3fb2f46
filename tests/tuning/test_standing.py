"""What is believed of a change, by folds that it shares with the rules' recipe."""

from __future__ import annotations

import pytest

from xmc.tuning.standing import Standing, fold_error, standing_of

CHANGE = {"objective.scale": 30.0}


def of(values: dict[int, float], rules: dict[int, float], held_out: int = 100, rows: int = 600) -> Standing:
    found = standing_of(CHANGE, values, rules, held_out, rows)
    assert found is not None
    return found


def test_the_gain_is_that_on_the_same_folds() -> None:
    found = of({0: 52.0, 1: 71.0, 4: 99.0}, {0: 50.0, 1: 70.0, 2: 10.0})
    assert (found.folds, found.value, found.gain) == (2, 61.5, 1.5)
    assert standing_of(CHANGE, {3: 1.0}, {0: 50.0}, 100, 600) is None
    rules = standing_of({}, {0: 50.0, 2: 10.0}, {0: 50.0, 2: 10.0}, 100, 600)
    assert rules is not None and (rules.value, rules.gain, rules.error) == (30.0, 0.0, 0.0)


def test_its_error_is_of_the_folds_and_of_what_they_share() -> None:
    assert fold_error(100) == 2.5
    alone = of({0: 52.0}, {0: 50.0})
    assert alone.error == pytest.approx(2.5 * (1 + 0.2) ** 0.5)
    four = of({0: 3.0, 1: 1.0, 2: 3.0, 3: 1.0}, dict.fromkeys(range(4), 0.0))
    assert four.gain == 2.0 and four.error == pytest.approx(((4 + 6.25) / 4 * (1 / 4 + 0.2)) ** 0.5)


def test_the_less_is_known_the_more_a_change_has_to_gain() -> None:
    small, large = of({0: 51.0}, {0: 50.0}, 33, 200), of({0: 51.0}, {0: 50.0}, 1_000, 100_000)
    assert small.believed < 0 < large.believed < 1.0
    assert large.beats_the_rules and not small.beats_the_rules
    assert not of({0: 50.1}, {0: 50.0}, 10_000, 1_000_000).beats_the_rules, "it is not worth it"
    assert of({0: 80.0}, {0: 50.0}, 33, 200).beats_the_rules
