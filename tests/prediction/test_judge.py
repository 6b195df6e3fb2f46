"""Probabilities and thresholds of an ensemble, by all that speaks for a label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.encoders import DualEncoder
from xmc.errors import DataError
from xmc.evaluation.hits import all_hits
from xmc.prediction import Calibration, Query, Threshold, predict_blocks
from xmc.prediction.calibrating import fit_calibration
from xmc.prediction.judge import Judge, fit_judge
from xmc.retrieval import LabelIndex
from xmc.retrieval.ensemble_options import EnsembleOptions

LABELS = ["1 0 0", "0 1 0", "0 0 1", "3 4 0"]


def made(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, sp.csr_matrix, np.ndarray]:
    """Rankings by a score that says nothing across queries, and evidence of which two numbers do."""
    rng = np.random.default_rng(seed)
    evidence = np.zeros((rows, 12, 5))
    evidence[:, :, 0] = -np.sort(-rng.random((rows, 12)), axis=1)
    evidence[:, :, 1] = rng.standard_normal((rows, 12)) + rng.standard_normal((rows, 1))
    evidence[:, :, 3] = rng.standard_normal((rows, 12))
    logits = 2 * evidence[:, :, 1] + evidence[:, :, 3] - 1
    right = rng.random((rows, 12)) < 1 / (1 + np.exp(-logits))
    ids = np.array([rng.permutation(20)[:12] for _ in range(rows)])
    row, rank = np.nonzero(right)
    truth = sp.csr_matrix((np.ones(len(row)), (row, ids[row, rank])), shape=(rows, 20))
    return ids, evidence[:, :, 0].astype(np.float32), truth, evidence


def calibration(rows: int, seed: int, *, judged: bool = True) -> Calibration:
    ids, scores, truth, evidence = made(rows, seed)
    return fit_calibration(
        all_hits(truth, ids),
        ids,
        scores,
        model_fingerprint="m",
        num_labels=20,
        rows="rows",
        evidence=evidence if judged else None,
    )


def test_weights_are_those_of_the_law() -> None:
    evidence, right = (part[:, :10] for part in (made(3000, 0)[3], np.zeros((3000, 12))))
    rng = np.random.default_rng(1)
    right = rng.random(right.shape) < 1 / (1 + np.exp(1 - 2 * evidence[:, :, 1] - evidence[:, :, 3]))
    judge = fit_judge(evidence.reshape(-1, 5), right.ravel())
    np.testing.assert_allclose(judge.weights, [0, 2, 0, 1, 0], atol=0.1)
    assert judge.weights[2] == judge.weights[4] == 0.0, "numbers that never differ"
    with pytest.raises(ValueError, match="expected 5 weights of score, model"):
        Judge((1.0,))


def test_less_evidence_makes_nothing_surer() -> None:
    """Of 40 queries whose best scores differ by chance the other way round than being right does."""
    rng = np.random.default_rng(0)
    evidence = rng.random((400, 5))
    evidence[:, 2] = np.maximum(np.repeat(0.8 + 0.1 * rng.random(40), 10), evidence[:, 1])
    logits = 4 * evidence[:, 1] - 30 * (evidence[:, 2] - 0.85) - 2 * evidence[:, 3]
    right = rng.random(400) < 1 / (1 + np.exp(-logits))
    judge = fit_judge(evidence, right)
    score, model, best, said, _ = judge.weights
    assert best <= 0 <= model + best and score >= 0 and said == 0.0
    unlike = np.array([[0.99, 0.2, 0.2, 0.5, 0.5]])
    like = np.array([[0.99, 0.9, 0.9, 0.5, 0.5]])
    assert judge.least == pytest.approx(np.quantile(evidence[:, 2], 0.01)) and judge.fall > 0
    assert judge(unlike) <= judge(like) - judge.fall * (judge.least - 0.2) + 1e-9
    assert replace(judge, fall=0.0)(like) == judge(like)


def test_a_query_that_nothing_fits_gets_no_label() -> None:
    """Its labels are as far apart as any, and their scores as near to 1, but the model knows none of them."""
    rng = np.random.default_rng(0)
    model = -np.sort(-rng.uniform(0.3, 0.6, (300, 10)), axis=1)
    right = np.zeros((300, 10), dtype=bool)
    right[np.arange(240), 0] = True
    model[:240, 0] = rng.uniform(0.8, 1.0, 240)
    model[240:, 0] = rng.uniform(0.6, 0.8, 60)

    def seen(scores: np.ndarray) -> np.ndarray:
        moved = (scores - scores.min(axis=1, keepdims=True)) / np.ptp(scores, axis=1)[:, None]
        best = np.broadcast_to(scores[:, :1], scores.shape)
        return np.stack([moved, scores, best, np.zeros_like(scores), np.zeros_like(scores)], axis=2)

    ids = np.argsort(rng.random((300, 10)), axis=1)
    rows, places = np.nonzero(right)
    truth = sp.csr_matrix((np.ones(240), (rows, ids[rows, places])), shape=(300, 10))
    evidence = seen(model)
    fitted = fit_calibration(
        *(all_hits(truth, ids), ids, evidence[:, :, 0].astype(np.float32)),
        **{"model_fingerprint": "m", "num_labels": 10, "rows": "rows", "evidence": evidence},
    )
    strange = fitted.probability(fitted.sureness(model[:5], seen(model[:5] - 0.7)))
    assert fitted.probability(fitted.sureness(model[:5], evidence[:5]))[:, 0].min() > 0.5
    assert strange.max() < 0.02


def test_thresholds_hold_on_other_queries(tmp_path: Path) -> None:
    """Where those of the ensemble's own score reach no such precision at all."""
    fitted, plain = calibration(2000, 0), calibration(2000, 0, judged=False)
    fitted.save(tmp_path / "c.json")
    assert Calibration.load(tmp_path / "c.json") == fitted
    ids, scores, truth, evidence = made(2000, 5)
    right = np.asarray(truth[np.arange(2000)[:, None], ids].todense()) > 0
    sure = fitted.sureness(scores, evidence)
    for precision in (0.7, 0.9):
        kept = sure >= Threshold("precision", precision).least_score(fitted)
        assert right[kept].mean() == pytest.approx(precision, abs=0.03)
        assert plain.of_precision(precision) is None
    chance = fitted.probability(sure)
    for low in (0.1, 0.4, 0.7):
        among = (chance >= low) & (chance < low + 0.2)
        assert right[among].mean() == pytest.approx(chance[among].mean(), abs=0.03)
    assert fitted.best_f1().f1 > plain.best_f1().f1 + 0.1 and fitted.calibration_error < 0.02
    np.testing.assert_array_equal(plain.sureness(scores, evidence), scores)
    with pytest.raises(DataError, match="ranks with more than its model"):
        fitted.sureness(scores, None)


def test_what_is_kept_moves_up_with_its_probability(make_encoder: Callable[..., DualEncoder]) -> None:
    index = LabelIndex.build(make_encoder(), LABELS, uids=list("abcd"), progress=False)
    index.add_ensemble(EnsembleOptions(lexical=0.9))
    queries = [Query("q", "3 1 0"), Query("r", " "), Query("s", "0 0 2")]
    texts = [query.text for query in queries if query.text.strip()]
    ids, scores, evidence = index.ranked(texts, 4, index.encoder, evidence=True)
    plain = index.ranked(texts, 4, index.encoder)
    for part, whole in zip((ids, scores), plain[:2], strict=True):
        np.testing.assert_array_equal(part, whole)
    assert evidence is not None and plain.evidence is None
    # The other way round than the ensemble ranks, so that what is kept is not the beginning of a list.
    judged = replace(calibration(200, 0), judge=Judge((-1.0, 0.0, 0.0, 0.0, 0.0)))
    (block,) = predict_blocks(index, queries, 4, calibration=judged, least_sureness=-0.5)
    assert block[1].count == 0 and not block[1].probabilities.any()
    for row, prediction in ((0, block[0]), (1, block[2])):
        kept = (ids[row] >= 0) & (-scores[row] >= -0.5)
        assert 0 < kept.sum() < 4 and prediction.count == kept.sum()
        assert prediction.ids[: prediction.count].tolist() == ids[row][kept].tolist()
        np.testing.assert_allclose(
            prediction.probabilities[: prediction.count], judged.probability(-scores[row][kept])
        )
        assert not prediction.probabilities[prediction.count :].any()
