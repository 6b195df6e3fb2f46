"""Score distributions and calibration."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.evaluation.hits import Hits, all_hits
from xmc.reports.calibration import empirical_reliability, softmax_reliability
from xmc.reports.distributions import score_distribution

TRUTH = sp.csr_matrix(np.array([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=np.float32))
IDS = np.array([[0, 2, 3], [3, 0, -1], [1, -1, -1]], dtype=np.int32)
HITS = all_hits(TRUTH, IDS)
SCORES = np.array([[9, 5, 1], [7, 3, 0], [2, 0, 0]], dtype=np.float32)


def test_positives_and_the_hardest_negative_of_each_list() -> None:
    found = score_distribution(HITS, IDS, SCORES, bins=7)
    assert found.edges.tolist() == list(range(2, 10))
    assert found.positives.tolist() == [0, 0, 0, 0, 0, 0, 1 / 3], "one of three positives is in its list"
    assert found.hardest_negatives.tolist() == pytest.approx([1 / 3, 0, 0, 1 / 3, 0, 1 / 3, 0])
    assert found.beyond == pytest.approx(2 / 3) and found.separated == 0.5 and found.depth == 3


def test_nothing_retrieved_is_no_error() -> None:
    nothing = np.full((3, 2), -1, dtype=np.int32)
    found = score_distribution(all_hits(TRUTH, nothing), nothing, np.zeros((3, 2)))
    assert found.beyond == 1.0 and found.hardest_negatives.sum() == 0


def test_softmax_over_the_list_leaves_pads_out() -> None:
    found = softmax_reliability(HITS, IDS, SCORES, 0.5, bins=1)
    confidence = [1 / (1 + np.exp(-2) + np.exp(-4)), 1 / (1 + np.exp(-2)), 1.0]
    assert found.confidence[0] == pytest.approx(np.mean(confidence)) and found.accuracy[0] == pytest.approx(
        1 / 3
    )
    assert found.error == pytest.approx(np.mean(confidence) - 1 / 3) and found.counts.tolist() == [3]


@pytest.fixture
def honest() -> tuple[Hits, np.ndarray, np.ndarray]:
    """20,000 lists of two whose first label is right as often as the softmax at scale 3 says."""
    generator = np.random.default_rng(0)
    gap = generator.uniform(0, 1, 20_000)
    right = generator.random(20_000) < 1 / (1 + np.exp(-3 * gap))
    truth = sp.csr_matrix(np.stack([right, ~right], axis=1).astype(np.float32))
    ids = np.tile(np.array([0, 1], dtype=np.int32), (20_000, 1))
    return all_hits(truth, ids), ids, np.stack([gap, 0 * gap], axis=1)


def test_a_calibrated_softmax_has_no_error_and_another_scale_has(honest) -> None:  # type: ignore[no-untyped-def]
    found = softmax_reliability(*honest, 3.0)
    assert found.error < 0.015 and len(found.counts) == 10
    np.testing.assert_allclose(found.counts, 2000)
    np.testing.assert_allclose(found.confidence, found.accuracy, atol=0.05)
    assert softmax_reliability(*honest, 30.0).error > 0.15


def test_the_empirical_probability_is_of_the_other_half() -> None:
    """Even rows are always right, odd rows never: read across the halves, every probability is wrong."""
    ids = np.zeros((40, 1), dtype=np.int32)
    truth = sp.csr_matrix((np.arange(40)[:, None] % 2 == 0).astype(np.float32))
    found = empirical_reliability(all_hits(truth, ids), ids, np.ones((40, 1)), k=1)
    assert found.error == 1.0 and found.accuracy.tolist() == [0.5] and found.confidence.tolist() == [1.0]


def test_one_list_has_no_other_half() -> None:
    hits = all_hits(TRUTH[:1], IDS[:1])
    found = empirical_reliability(hits, IDS[:1], SCORES[:1])
    assert found.error is None and found.accuracy.tolist() == [0, 0, 1]


def test_precision_by_score_rises_with_an_honest_score(honest) -> None:  # type: ignore[no-untyped-def]
    hits, ids, scores = honest
    found = empirical_reliability(hits, ids[:, :1], scores[:, :1], k=1, bins=8)
    assert found.error < 0.03 and found.accuracy[-1] > found.accuracy[0] + 0.3
