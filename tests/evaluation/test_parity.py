"""Against napkinXC's metrics, where the definitions agree; the differences are stated where they do not.

The same: P, nDCG, R (an empty row is 0), PSP, PSnDCG, coverage. Different there:

* a label named twice in a list counts each time (here it is an error);
* scores are cut from sparse rows by an unstable sort, so equal scores come in any order (lists are given
  here, so ties play no part);
* PSDCG divides by the rank, PSnDCG does not;
* without any positive PSP is a division by zero (here 0).
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.data import inverse_propensity
from xmc.evaluation import ranking_metrics

K = 7
KINDS = ("P", "nDCG", "R", "PSP", "PSnDCG", "Cov")

# Worked by hand: labels 0..3, inverse propensities 1, 2, 3, 4; lists and positives of three rows.
LISTS = [[2, 0, 1], [3, 1], [0, 2, 3]]
POSITIVES = [[0, 2], [], [1, 2, 3]]
WEIGHTS = np.array([1.0, 2.0, 3.0, 4.0])
SECOND, THIRD = 1 / np.log2(3), 1 / 2
HAND = {
    "P@1": (1 + 0 + 0) / 3,
    "P@3": (2 / 3 + 0 + 2 / 3) / 3,
    "nDCG@1": 1 / 3,
    "nDCG@3": (1 + 0 + (SECOND + THIRD) / (1 + SECOND + THIRD)) / 3,
    "R@1": (1 / 2 + 0 + 0) / 3,
    "R@3": (1 + 0 + 2 / 3) / 3,
    "PSP@1": 3 / (3 + 4),
    "PSP@3": (3 + 1 + 3 + 4) / (3 + 1 + 4 + 3 + 2),
    "PSnDCG@1": 3 / (3 + 4),
    "PSnDCG@3": ((3 + 1 * SECOND) / (1 + SECOND) + (3 * SECOND + 4 * THIRD) / (1 + SECOND + THIRD))
    / ((3 + 1 * SECOND) / (1 + SECOND) + (4 + 3 * SECOND + 2 * THIRD) / (1 + SECOND + THIRD)),
    "Cov@1": 1 / 4,
    "Cov@3": 3 / 4,
}


def matrices(lists: list[list[int]], positives: list[list[int]]) -> tuple[sp.csr_matrix, np.ndarray]:
    truth = sp.lil_matrix((len(lists), len(WEIGHTS)), dtype=np.float32)
    ids = np.full((len(lists), max(map(len, lists))), -1)
    for row, (ranked, own) in enumerate(zip(lists, positives, strict=True)):
        ids[row, : len(ranked)] = ranked
        truth[row, own] = 1
    return truth.tocsr(), ids


def test_worked_cases():
    truth, ids = matrices(LISTS, POSITIVES)
    got = ranking_metrics(truth, ids, WEIGHTS, ks=(1, 3), recall_ks=(1, 3), kinds=KINDS)
    assert got == pytest.approx({name: 100 * value for name, value in HAND.items()})


def theirs(lists: list[list[int]], positives: list[list[int]], weights: np.ndarray) -> dict[str, float]:
    metrics = pytest.importorskip("napkinxc.metrics", reason="napkinxc is of the extra dev")
    columns = {
        "P": metrics.PrecisionAtK(K),
        "nDCG": metrics.NDCGAtK(K),
        "R": metrics.RecallAtK(K),
        "PSP": metrics.PSPrecisionAtK(weights, K),
        "PSnDCG": metrics.PSNDCGAtK(weights, K),
        "Cov": metrics.CoverageAtK(K),
    }
    values = {kind: metric.calculate(positives, lists) for kind, metric in columns.items()}
    return {f"{kind}@{k}": 100 * float(values[kind][k - 1]) for kind in KINDS for k in range(1, K + 1)}


@pytest.mark.parametrize("seed", range(5))
def test_equals_napkinxc(seed):
    rng = np.random.default_rng(seed)
    num_rows, num_labels = 40, 25
    dense = rng.random((num_rows, num_labels)) < rng.random((num_rows, 1)) * 0.4
    dense[:3] = False
    widths = rng.integers(0, K + 3, num_rows)
    lists = [rng.permutation(num_labels)[:width].tolist() for width in widths]
    positives = [np.flatnonzero(row).tolist() for row in dense]
    weights = inverse_propensity(sp.csr_matrix(dense.astype(np.float32)), 0.6, 2.6)
    ids = np.full((num_rows, max(map(len, lists))), -1)
    for row, ranked in enumerate(lists):
        ids[row, : len(ranked)] = ranked
    cuts = range(1, K + 1)
    got = ranking_metrics(sp.csr_matrix(dense), ids, weights, ks=cuts, recall_ks=cuts, kinds=KINDS)
    assert got == pytest.approx(theirs(lists, positives, weights))


def test_napkinxc_agrees_on_the_worked_cases():
    values = theirs(LISTS, POSITIVES, WEIGHTS)
    assert {name: values[name] for name in HAND} == pytest.approx(
        {name: 100 * value for name, value in HAND.items()}
    )


@pytest.mark.parametrize(("a", "b"), [(0.55, 1.5), (0.6, 2.6), (0.5, 0.4)])
def test_inverse_propensities_equal_napkinxcs(a, b):
    metrics = pytest.importorskip("napkinxc.metrics", reason="napkinxc is of the extra dev")
    relevance = sp.csr_matrix((np.random.default_rng(0).random((50, 20)) < 0.2).astype(np.float64))
    expected = metrics.Jain_et_al_inverse_propensity(relevance, A=a, B=b)
    np.testing.assert_allclose(inverse_propensity(relevance, a, b), expected)
