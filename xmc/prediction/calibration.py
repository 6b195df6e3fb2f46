"""What held-out rows say of a model's scores: a probability for each score, and what thresholds give."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from xmc.counted import counted
from xmc.errors import DataError
from xmc.files import atomic_file
from xmc.prediction.curve import Point
from xmc.prediction.judge import Judge
from xmc.prediction.platt import Platt
from xmc.received import read_json, reading
from xmc.typed import from_plain

__all__ = ["FILE", "Calibration"]

FILE = "calibration.json"
FORMAT_VERSION = 1
SHOWN = (0.5, 0.8, 0.9)
"""Precisions whose thresholds are shown, where some score reaches them."""


@dataclass(frozen=True)
class Calibration:
    """The content of ``calibration.json``."""

    ENOUGH: ClassVar[int] = 30
    """Predictions of all queries that a precision is counted on: one right prediction is no 100 %."""

    model_fingerprint: str
    num_labels: int
    """Of the labels that were ranked: another set of labels has other probabilities."""
    rows: str
    """Which rows it was fitted on, in words."""
    num_rows: int
    depth: int
    """Labels ranked of each row; recall and F1 count positives beyond as missed."""
    probability: Platt
    calibration_error: float | None
    """Expected calibration error of the probabilities, a fraction: fitted on every other row, measured on
    the rest. None where one half has only right or only wrong predictions."""
    curve: list[Point]
    """By falling score."""
    judge: Judge | None = None
    """Of an ensemble: what its evidence comes to takes the place of scores above, which is how sure a
    prediction is."""

    def sureness(
        self, scores: NDArray[np.floating], evidence: NDArray[np.float64] | None
    ) -> NDArray[np.floating]:
        """What thresholds and probabilities go by, [N, k]: the scores, or what the evidence comes to.

        Args:
            scores: [N, k], -inf for pads.
            evidence: [N, k, 5], of an ensemble.

        Raises:
            DataError: When this was fitted on evidence, and there is none.
        """
        if self.judge is None:
            return scores
        if evidence is None:
            raise DataError(
                "expected a ranking with what speaks for each label, as this calibration is of an index that "
                "ranks with more than its model: predict with that index, or fit it again with xmc calibrate"
            )
        return np.where(np.isneginf(scores), -np.inf, self.judge(evidence))

    def score_of(self, probability: float) -> float:
        """The score (or sureness) that has a probability; -inf for 0, +inf for 1."""
        if not 0 < probability < 1:
            return math.inf if probability >= 1 else -math.inf
        logit = math.log(probability / (1 - probability))
        return (logit - self.probability.intercept) / self.probability.slope

    def best_f1(self) -> Point:
        """The threshold of the greatest F1."""
        return max(self.curve, key=lambda point: point.f1)

    def of_precision(self, precision: float) -> Point | None:
        """The lowest threshold of at least that precision, which keeps most, of `counted`; None if none."""
        reached = [point for point in self.counted() if point.precision >= precision]
        return reached[-1] if reached else None

    def counted(self) -> list[Point]:
        """The thresholds that keep `ENOUGH` predictions for their precision to say something."""
        return [point for point in self.curve if round(point.per_query * self.num_rows) >= self.ENOUGH]

    def table(self) -> str:
        """What the threshold of the greatest F1 and those of some precisions give, a line each."""
        if self.calibration_error is None:
            error = "is not known (one half of the rows has only right or only wrong predictions: take more)"
        else:
            share = f"{100 * self.calibration_error:.1f} %"
            error = f"{share} (fitted on one half of the rows, measured on the other)"
        lines = [
            f"fitted on {self.rows}, {counted(self.depth, 'label')} each; calibration error {error}",
            f"{'threshold':<16}{'score':>9}{'probability':>13}{'precision':>11}{'recall':>9}{'F1':>8}"
            f"{'coverage':>10}{'labels':>9}",
        ]
        points = [("f1", self.best_f1())]
        for precision in SHOWN:
            if (reached := self.of_precision(precision)) is not None:
                points.append((f"precision={precision}", reached))
        for name, point in points:
            chance = float(self.probability(np.array(point.score)))
            shares = (point.precision, point.recall, point.f1, point.coverage)
            a, b, c, d = (f"{100 * share:.1f}" for share in shares)
            lines.append(
                f"{name:<16}{point.score:>9.4f}{100 * chance:>13.1f}{a:>11}{b:>9}{c:>8}{d:>10}"
                f"{point.per_query:>9.2f}"
            )
        return "\n".join([*lines, "percent; coverage: of queries that get a label; labels: of a query"])

    def save(self, path: str | Path) -> None:
        """Write it as JSON, whole or not at all."""
        content = {"format_version": FORMAT_VERSION, **asdict(self)}
        with atomic_file(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read what `save` wrote.

        Raises:
            DataError: When the file is missing, or no calibration.
        """
        with reading(path, "a calibration", "run xmc calibrate again"):
            content = read_json(Path(path))
            version = content.pop("format_version")
            if version != FORMAT_VERSION:
                raise ValueError(f"expected format version {FORMAT_VERSION}, got {version!r:.40}")
            loaded = from_plain(cls, content)
            if not loaded.curve or not loaded.probability.slope > 0:
                raise ValueError("it has no curve, or a probability that does not rise with the score")
        return loaded
