"""What a user may say to ``--threshold``, and the score it comes to."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xmc.errors import ConfigError

if TYPE_CHECKING:
    from xmc.prediction.calibration import Calibration

__all__ = ["Threshold"]

_EXPECTED = "f1, a probability such as 0.5, precision=0.9, coverage=0.8 or score=0.7"
_KINDS = ("precision", "coverage", "score")


@dataclass(frozen=True)
class Threshold:
    """A rule for which predictions are kept."""

    kind: str
    """"f1", "probability", "precision", "coverage" or "score"."""
    value: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """``f1``, ``0.5``, ``precision=0.9``, ``coverage=0.8`` or ``score=0.7``.

        Raises:
            ConfigError: For anything else, or a share that is not between 0 and 1.
        """
        if text == "f1":
            return cls("f1")
        kind, equals, value = text.rpartition("=")
        kind = kind if equals else "probability"
        if kind not in (*_KINDS, "probability") or not re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", value):
            raise ConfigError(f"--threshold: expected {_EXPECTED}, got {text!r}")
        try:
            number = float(value)
        except ValueError:
            raise ConfigError(f"--threshold: expected a number, got {value!r}") from None
        if not math.isfinite(number) or (kind != "score" and not 0 <= number <= 1):
            raise ConfigError(f"--threshold: expected a {kind} between 0 and 1, got {value}")
        return cls(kind, number)

    @property
    def needs_calibration(self) -> bool:
        """Whether held-out rows decide what it comes to."""
        return self.kind != "score"

    def least_score(self, calibration: Calibration | None) -> float:
        """The least score that is kept.

        Raises:
            ConfigError: When it needs a calibration and there is none, or no score reaches it there.
        """
        if self.kind == "score":
            return self.value
        if calibration is None:
            raise ConfigError(f"--threshold {self.kind} needs a calibration, and there is none")
        if self.kind == "probability":
            return calibration.score_of(self.value)
        if self.kind == "f1":
            return calibration.best_f1().score
        if self.kind == "precision":
            point = calibration.of_precision(self.value)
            among, note = calibration.counted(), f", with {calibration.ENOUGH} predictions or more kept"
        else:
            # The highest score of that coverage is the surest.
            point = next((point for point in calibration.curve if point.coverage >= self.value), None)
            among, note = calibration.curve, ""
        if point is None:
            best = max((getattr(point, self.kind) for point in among), default=None)
            came = "there is none" if best is None else f"the greatest there is {best:.3f}"
            raise ConfigError(
                f"--threshold {self.kind}={self.value:g}: expected a {self.kind} that some score reached on "
                f"the rows it was fitted on; {came}{note}"
            )
        return point.score
