"""Probabilities, curves and thresholds, against plain counts and a law that is known."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.errors import ConfigError, DataError
from xmc.evaluation.hits import all_hits
from xmc.prediction import Calibration, Threshold
from xmc.prediction.calibrating import fit_calibration
from xmc.prediction.curve import threshold_curve
from xmc.prediction.platt import Platt, fit_platt


def test_the_law_that_drew_the_outcomes_is_found() -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(0.5, 0.2, 200_000)
    right = generator.random(len(scores)) < Platt(12.0, -7.0)(scores)
    found = fit_platt(scores, right)
    assert (found.slope, found.intercept) == (pytest.approx(12, rel=0.02), pytest.approx(-7, rel=0.02))


def test_the_fit_is_stationary_and_finite_where_scores_part_right_from_wrong() -> None:
    scores, right = np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True])
    found = fit_platt(scores, right)
    target = np.where(right, 3 / 4, 1 / 4)
    residual = found(scores) - target
    assert abs(residual.sum()) < 1e-6 and abs((residual * scores).sum()) < 1e-6
    assert 0.5 < found(scores)[2] < 1
    assert found(np.array([-np.inf, np.inf])).tolist() == [0, 1]


@pytest.mark.parametrize("right", [True, False])
def test_only_right_or_only_wrong_says_nothing(right: bool) -> None:
    with pytest.raises(DataError, match="expected right and wrong predictions"):
        fit_platt(np.array([0.1, 0.2]), np.array([right, right]))


def ranking(rows: int = 40, k: int = 6) -> tuple[sp.csr_matrix, np.ndarray, np.ndarray]:
    """Truth [rows, 20], ids and scores [rows, k]: right with a chance that rises with the score."""
    generator = np.random.default_rng(3)
    ids = np.stack([generator.permutation(20)[:k] for _ in range(rows)])
    scores = -np.sort(-generator.random((rows, k)).round(2), axis=1)
    truth = np.zeros((rows, 20))
    right = generator.random((rows, k)) < scores**2
    np.put_along_axis(truth, ids, right, axis=1)
    truth[:, 0] = 1  # positives that are often not listed
    ids[5, 4:], scores[5, 4:] = -1, -np.inf
    return sp.csr_matrix(truth), ids, scores


def test_the_curve_is_what_counting_gives() -> None:
    truth, ids, scores = ranking()
    hits = all_hits(truth, ids)
    right, kept, positives = hits.matrix(6), ids >= 0, int(truth.sum())
    curve = threshold_curve(scores, right, kept, positives)
    for point in curve:
        taken = kept & (scores >= point.score)
        found = int((taken & right).sum())
        assert point.precision == pytest.approx(found / taken.sum())
        assert point.recall == pytest.approx(found / positives)
        assert point.f1 == pytest.approx(2 * found / (taken.sum() + positives))
        assert point.coverage == pytest.approx(taken.any(axis=1).mean())
        assert point.per_query == pytest.approx(taken.sum() / 40)
    best = max(
        2 * (right & kept & (scores >= s)).sum() / ((kept & (scores >= s)).sum() + positives)
        for s in np.unique(scores[kept])
    )
    assert max(point.f1 for point in curve) == pytest.approx(best)
    falling = [point.score for point in curve]
    assert falling == sorted(set(falling), reverse=True)


def test_a_threshold_is_in_the_middle_of_a_gap() -> None:
    scores, right = np.array([[1.0, 0.2], [0.9, 0.3]]), np.array([[True, False], [True, False]])
    points = threshold_curve(scores, right, np.ones((2, 2), dtype=bool), 2)
    best = max(points, key=lambda point: point.f1)
    assert best.score == pytest.approx(0.6) and best.f1 == 1.0
    assert points[-1].score == 0.2, "nothing is below"
    close = np.array([[1.0, np.nextafter(1.0, 0.0)]])
    assert threshold_curve(close, np.array([[True, False]]), np.ones((1, 2), dtype=bool), 1)[0].score == 1.0


@pytest.fixture
def calibration() -> Calibration:
    truth, ids, scores = ranking()
    return fit_calibration(
        all_hits(truth, ids), ids, scores, model_fingerprint="m", num_labels=20, rows="40 test rows of d"
    )


def test_saved_and_read_again_it_is_the_same(calibration: Calibration, tmp_path: Path) -> None:
    calibration.save(tmp_path / "c.json")
    assert Calibration.load(tmp_path / "c.json") == calibration
    assert "40 test rows of d" in calibration.table() and "precision=0.5" in calibration.table()


@pytest.mark.parametrize("change", ["version", "curve", "slope", "key"])
def test_a_file_that_is_no_calibration(calibration: Calibration, tmp_path: Path, change: str) -> None:
    path = tmp_path / "c.json"
    calibration.save(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    if change == "version":
        content["format_version"] = 99
    elif change == "curve":
        content["curve"] = []
    elif change == "slope":
        content["probability"]["slope"] = -1
    else:
        content["another"] = 1
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match="c.json: expected a calibration .*: run xmc calibrate again"):
        Calibration.load(path)


def test_scores_that_do_not_rise_with_being_right_are_refused() -> None:
    truth, ids, scores = ranking()
    full = np.arange(40) != 5
    truth, ids, scores = truth[full], ids[full, ::-1], scores[full]
    with pytest.raises(DataError, match="expected higher scores to be right more often on rows"):
        fit_calibration(all_hits(truth, ids), ids, scores, model_fingerprint="m", num_labels=20, rows="rows")


def test_thresholds_come_to_scores(calibration: Calibration) -> None:
    def least(text: str) -> float:
        return Threshold.parse(text).least_score(calibration)

    assert least("f1") == calibration.best_f1().score
    assert float(calibration.probability(np.array(least("0.3")))) == pytest.approx(0.3)
    assert (least("0"), least("1"), least("score=-0.5")) == (-math.inf, math.inf, -0.5)
    precise = next(p for p in calibration.curve if p.score == least("precision=0.6"))
    assert precise.precision >= 0.6
    assert not any(p.precision >= 0.6 for p in calibration.curve if p.score < precise.score)
    wide = next(p for p in calibration.curve if p.score == least("coverage=0.8"))
    assert wide.coverage >= 0.8
    assert not any(p.coverage >= 0.8 for p in calibration.curve if p.score > wide.score)


def test_a_precision_that_nothing_reaches(calibration: Calibration) -> None:
    low = replace(calibration, curve=[replace(calibration.curve[-1], precision=0.4)])
    with pytest.raises(ConfigError, match="the greatest there is 0.400"):
        Threshold("precision", 0.9).least_score(low)
    with pytest.raises(ConfigError, match="the greatest there is 1.000$"):
        Threshold("coverage", 1.1).least_score(low)
    with pytest.raises(ConfigError, match="needs a calibration"):
        Threshold("f1").least_score(None)


def test_a_precision_is_counted_on_30_predictions(calibration: Calibration) -> None:
    """29 predictions of which all are right say less than 30 of which 27 are."""
    few = replace(calibration.curve[0], score=0.9, precision=1.0, per_query=29 / 40)
    enough = replace(few, score=0.8, precision=0.9, per_query=30 / 40)
    both = replace(calibration, curve=[few, enough])
    assert both.of_precision(0.9) == enough and both.of_precision(0.95) is None
    assert "precision=0.9" in both.table()
    with pytest.raises(ConfigError, match="the greatest there is 0.900, with 30 predictions or more kept"):
        Threshold("precision", 0.95).least_score(both)
    one = replace(calibration, curve=[few])
    assert one.of_precision(0.5) is None and "precision=" not in one.table()
    with pytest.raises(ConfigError, match="there is none, with 30 predictions or more kept"):
        Threshold("precision", 0.9).least_score(one)


def test_the_calibration_error_is_that_of_the_other_half() -> None:
    """Two labels of each row; the curve of even rows is used on odd ones, and the other way round."""
    scores = np.array([[0.9, 0.1], [0.8, 0.3], [0.7, 0.2], [0.6, 0.4], [0.5, 0.45], [0.75, 0.35]])
    right = np.array([[1, 0], [1, 0], [0, 0], [1, 0], [1, 1], [0, 1]], dtype=bool)
    ids = np.tile([0, 1], (6, 1))
    found = fit_calibration(
        all_hits(sp.csr_matrix(right.astype(float)), ids),
        *(ids, scores),
        model_fingerprint="m",
        num_labels=2,
        rows="rows",
    )
    said = np.zeros((6, 2))
    for half in (0, 1):
        curve = fit_platt(scores[1 - half :: 2].ravel(), right[1 - half :: 2].ravel())
        said[half::2] = curve(scores[half::2])
    # Twelve predictions in ten bins, whose inner edges are the tenths of what was said.
    bins = np.digitize(said.ravel(), np.quantile(said, np.arange(1, 10) / 10))
    parts = [bins == number for number in set(bins)]
    gaps = [abs(said.ravel()[part].mean() - right.ravel()[part].mean()) * part.sum() for part in parts]
    assert found.calibration_error == pytest.approx(sum(gaps) / 12) and found.calibration_error > 0.05


def test_a_half_of_only_wrong_predictions_measures_nothing(tmp_path: Path) -> None:
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    right = np.array([[1, 0], [0, 0], [1, 0], [0, 0]], dtype=float)
    hits, ids = all_hits(sp.csr_matrix(right), np.tile([0, 1], (4, 1))), np.tile([0, 1], (4, 1))
    found = fit_calibration(hits, ids, scores, model_fingerprint="m", num_labels=2, rows="rows")
    assert found.calibration_error is None
    assert "calibration error is not known (one half of the rows has only" in found.table()
    found.save(tmp_path / "c.json")
    assert Calibration.load(tmp_path / "c.json") == found


@pytest.mark.parametrize("text", ["f2", "1.5", "precision=2", "recall=0.5", "score=", "nan", "0.5.5", "="])
def test_what_is_no_threshold(text: str) -> None:
    with pytest.raises(ConfigError, match="--threshold: expected"):
        Threshold.parse(text)
