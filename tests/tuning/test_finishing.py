"""What follows a final training is told beforehand by a small part of each thing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from xmc.data import Dataset
from xmc.encoders import DualEncoder
from xmc.prediction.classifying import MOST_SCORES
from xmc.retrieval import LexicalRanker
from xmc.tuning import finishing
from xmc.tuning.finishing import Pace, confusing_seconds, finishing_seconds, measure_pace


def test_each_part_is_timed(dataset: Dataset, static_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    seconds = iter([5.12, 4.2, 0.64, 5.12, 4.2])

    def timed(work, times: int) -> float:  # type: ignore[no-untyped-def]
        work()
        done.append(times)
        return next(seconds)

    monkeypatch.setattr(finishing, "least_seconds", timed)
    words = LexicalRanker(dataset.texts("labels"))
    pace = measure_pace(DualEncoder.load(static_model), dataset, words)
    assert len(done) == 3
    assert pace.text == pytest.approx(5.12 / min(finishing.SAMPLE, dataset.num_labels))
    assert pace.score == pytest.approx(4.2 / (finishing.SAMPLE * finishing.SEARCHED))
    assert pace.match == pytest.approx(0.64 / min(finishing.MATCHED, len(dataset.texts("train"))))
    assert measure_pace(DualEncoder.load(static_model), dataset, None) == replace(pace, match=0.0)


def test_everything_that_is_done_counts(dataset: Dataset) -> None:
    labels, tested = dataset.num_labels, dataset.num_test
    none = Pace(0.0, 0.0, 0.0)

    def seconds(pace: Pace, most_voting: float = 1e9) -> float:
        return finishing_seconds(pace, dataset, 50, most_voting)

    assert seconds(none) == 0
    assert seconds(replace(none, text=1.0)) == 3 * (labels + tested) + 50
    assert seconds(replace(none, score=1.0)) == 3 * tested * labels + tested * 50
    assert seconds(replace(none, score=1.0), 7.0) == 3 * tested * labels + 7
    assert seconds(replace(none, match=1.0)) == tested


def test_so_many_rows_are_ranked_for_classifiers_as_are_looked_at() -> None:
    pace = Pace(9.0, 2.0, 9.0)
    assert confusing_seconds(pace, 100, 50) == 10_000
    assert confusing_seconds(pace, 1_000_000, 1_000_000) == 2 * MOST_SCORES
