"""Which of the labels that were found an answer keeps: those that reach the threshold of its request."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmc.errors import ConfigError
from xmc.prediction.threshold import Threshold
from xmc.serving.problems import Problem, shown
from xmc.serving.service import Found

__all__ = ["check_threshold", "kept_labels"]

_SAID = "f1, a probability from 0 to 1, precision=0.9, coverage=0.8 or score=0.7"


def check_threshold(asked: str | float | None) -> Threshold | None:
    """The rule that a request asks for; None for none.

    Raises:
        Problem: 422, for what is no threshold.
    """
    if asked is None:
        return None
    try:
        return Threshold.parse(str(asked))
    except ConfigError:
        raise Problem(
            422, "threshold", expected=_SAID, got=shown(asked), mend="ask for one of them, or for none"
        ) from None


def kept_labels(found: Found, threshold: Threshold | None) -> NDArray[np.bool_]:
    """Whether each label found is kept, [N, K]; a pad is not.

    Raises:
        Problem: 422, for a threshold that the index has no calibration for, or that no label reached there.
    """
    there = found.ids >= 0
    if threshold is None:
        return there
    calibration = found.snapshot.calibration
    if threshold.needs_calibration and calibration is None:
        raise Problem(
            422, "threshold",
            expected="an index or a model with a calibration, for probabilities and thresholds",
            got="none",
            mend="ask for score=S, or make one (xmc calibrate, xmc fit)",
        )  # fmt: skip
    try:
        least = threshold.least_score(calibration)
    except ConfigError as error:
        raise Problem(
            422, "threshold", expected=_SAID, got=str(error).removeprefix("--threshold "), mend="ask for less"
        ) from None
    return np.asarray(there & ((found.sure if threshold.needs_calibration else found.scores) >= least))
