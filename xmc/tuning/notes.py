"""What a fit says at its end of what it could not reach, and what to do about it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from xmc.evaluation import Evaluation
from xmc.tuning.choice import Choice
from xmc.tuning.journal import OUT_OF_TIME, Trial

__all__ = ["below_note", "calibration_note"]

STEPS = "training.max_steps"
_PLAIN = {"lexical": "plain word matching", "untrained": "the untrained encoder"}
_BY = {"lexical": "by words", "untrained": "untrained"}
"""What a trained model is to be above: in a sentence, and beside a figure."""


def below_note(
    evaluations: Mapping[str, Evaluation],
    metric: str,
    quality: str,
    choices: Sequence[Choice],
    trials: Sequence[Trial],
) -> str | None:
    """What to do where the trained model is below word matching or what it began as, on the test split.

    Args:
        evaluations: Of the fit, by name.
        metric: That is compared.
        quality: Of the fit.
        choices: Of the fit.
        trials: That it made.

    Returns:
        None where it is below neither.
    """
    values = {name: found.metrics[metric] for name, found in evaluations.items() if metric in found.metrics}
    trained = values.get("trained", math.inf)
    better = {name: values[name] for name in _PLAIN if values.get(name, -math.inf) > trained}
    if not better:
        return None
    names, figures = (
        " and ".join(words)
        for words in (
            [_PLAIN[name] for name in better],
            [f"{value:.2f} {_BY[name]}" for name, value in better.items()],
        )
    )
    text = f"the trained model is below {names}: {metric} {trained:.2f}, {figures}"
    if values.get("ensemble", -math.inf) >= max(better.values()):
        text += f" ({values['ensemble']:.2f} as the index ranks, with more than the model)"
    return f"{text}: {_advice(quality, choices, trials, words='lexical' in better)}"


def _advice(quality: str, choices: Sequence[Choice], trials: Sequence[Trial], *, words: bool) -> str:
    cut = any(choice.option == STEPS for choice in choices) or any(
        trial.ended == OUT_OF_TIME for trial in trials
    )
    ways = ["give it more time (--budget)"] if cut or (not trials and quality != "fast") else []
    if quality != "best":
        ways.append("try more recipes (--quality best)")
    if not ways:
        return "give it more training rows" + (", or rank by words too (xmc fuse)" if words else "")
    return f"{' or '.join(ways)}, into another folder (--out)"


def calibration_note(
    run: Path, quality: str, trials: Sequence[Trial], *, held_out: int, has_test: bool
) -> str:
    """Why a fit left no calibration, and the command that makes one.

    Args:
        run: The folder of the final training.
        quality: Of the fit.
        trials: That it made.
        held_out: Rows that trials hold out.
        has_test: Whether the data set has test rows.
    """
    if held_out < 2:
        why = "the training rows are too few to hold any out"
    elif any(trial.value is not None for trial in trials):
        why = "no scores of the held-out rows rise with being right"
    elif quality == "fast" and not trials:
        why = "of so many rows a fast fit holds none out"
    else:
        why = "the budget had no time to try the recipe on held-out rows"
    place = shlex.quote(str(run))
    command = (
        f"xmc calibrate {place} --split test"
        if has_test
        else f"xmc calibrate {place} --dataset DATASET --split test, of rows that it was not trained on"
    )
    return f"no calibration was left for probabilities and thresholds, as {why}: {command}"
