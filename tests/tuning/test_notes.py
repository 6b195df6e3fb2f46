"""What a fit says of itself at its end: only where it is so, and with a way out that is open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.fixtures.evaluations import made_up_evaluation
from xmc.evaluation import Evaluation
from xmc.tuning.choice import Choice
from xmc.tuning.journal import Trial
from xmc.tuning.notes import below_note, calibration_note

TRIAL = Trial({}, 0, 50.0, {"P@1": 50.0}, 1.0, 10, 0.1)
STOPPED = replace(TRIAL, value=None, metrics={}, ended="out of time")
CUT = Choice("training.max_steps", 20, "what the budget left time for, of 500")


def by(precision: float) -> Evaluation:
    return made_up_evaluation(metrics={"P@1": precision})


@pytest.mark.parametrize(
    ("quality", "choices", "trials", "advice"),
    [
        ("fast", [], [], "try more recipes (--quality best), into another folder (--out)"),
        ("good", [], [TRIAL], "try more recipes (--quality best), into another folder (--out)"),
        (
            *("good", [CUT], [TRIAL]),
            "give it more time (--budget) or try more recipes (--quality best), into another folder (--out)",
        ),
        ("best", [], [], "give it more time (--budget), into another folder (--out)"),
        ("best", [], [TRIAL, STOPPED], "give it more time (--budget), into another folder (--out)"),
        ("best", [], [TRIAL], "give it more training rows, or rank by words too (xmc fuse)"),
    ],
)
def test_a_model_below_word_matching_is_said_to_be(
    quality: str, choices: list[Choice], trials: list[Trial], advice: str
) -> None:
    found = {"lexical": by(60.0), "trained": by(41.5)}
    below = "the trained model is below plain word matching: P@1 41.50, 60.00 by words"
    assert below_note(found, "P@1", quality, choices, trials) == f"{below}: {advice}"
    found["ensemble"] = by(60.0)
    ranked = f"{below} (60.00 as the index ranks, with more than the model): {advice}"
    assert below_note(found, "P@1", quality, choices, trials) == ranked
    found["ensemble"] = by(59.0)
    assert below_note(found, "P@1", quality, choices, trials) == f"{below}: {advice}"


def test_a_model_below_what_it_began_as_is_said_to_be() -> None:
    advice = "try more recipes (--quality best), into another folder (--out)"
    found = {"lexical": by(30.0), "untrained": by(50.0), "trained": by(41.5)}
    alone = "the trained model is below the untrained encoder: P@1 41.50, 50.00 untrained"
    assert below_note(found, "P@1", "good", [], [TRIAL]) == f"{alone}: {advice}"
    assert below_note(found, "P@1", "best", [], [TRIAL]) == f"{alone}: give it more training rows"
    found |= {"lexical": by(60.0), "ensemble": by(55.0)}
    both = (
        "the trained model is below plain word matching and the untrained encoder: P@1 41.50, 60.00 by words "
        "and 50.00 untrained"
    )
    assert below_note(found, "P@1", "good", [], [TRIAL]) == f"{both}: {advice}"


def test_nothing_is_said_of_a_model_that_is_no_worse_or_was_not_measured() -> None:
    equal = {"lexical": by(60.0), "trained": by(60.0)}
    assert below_note(equal, "P@1", "good", [], []) is None
    assert (
        below_note(equal, "PSP@1", "good", [], []) is None and below_note({}, "P@1", "good", [], []) is None
    )


@pytest.mark.parametrize(
    ("quality", "trials", "held_out", "why"),
    [
        ("fast", [], 1000, "of so many rows a fast fit holds none out"),
        ("good", [], 1000, "the budget had no time to try the recipe on held-out rows"),
        ("fast", [STOPPED], 50, "the budget had no time to try the recipe on held-out rows"),
        ("good", [TRIAL], 50, "no scores of the held-out rows rise with being right"),
        ("good", [], 1, "the training rows are too few to hold any out"),
    ],
)
def test_why_there_is_no_calibration(quality: str, trials: list[Trial], held_out: int, why: str) -> None:
    run = Path("my runs/run")
    for has_test, command in (
        (True, "xmc calibrate 'my runs/run' --split test"),
        (
            False,
            "xmc calibrate 'my runs/run' --dataset DATASET --split test, of rows that it was not trained on",
        ),
    ):
        assert (
            calibration_note(run, quality, trials, held_out=held_out, has_test=has_test)
            == f"no calibration was left for probabilities and thresholds, as {why}: {command}"
        )
