from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.distributed.ranks import Ranks
from tests.evaluation.oracle import coverage, reach
from xmc.distributed import current_world
from xmc.errors import ConfigError, DataError
from xmc.evaluation import KINDS, coverage_at, map_at, psndcg_at, ranking_metrics
from xmc.evaluation.totals import MetricTotals, walk_hits

TRUTH = sp.csr_matrix(np.array([[1, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 1, 1, 1, 0]], dtype=np.float32))
IDS = np.array([[2, 4, 0], [0, 1, 2], [4, 1, -1]])
WEIGHTS = np.array([1.0, 2.0, 4.0, 8.0, 16.0])


def random_ranking(num_rows: int, num_labels: int, width: int, seed: int) -> tuple[sp.csr_matrix, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = sp.csr_matrix((rng.random((num_rows, num_labels)) < 0.3).astype(np.float32))
    keys = rng.random((num_rows, num_labels)).argsort(1)[:, :width].astype(np.int32)
    keys[rng.random(num_rows) < 0.2, -1:] = -1
    return truth, keys


def test_coverage_by_hand():
    # Positives are 0, 1, 2, 3. At 1 label 2 is right (row 0); at 3 labels 0, 1 and 2 are.
    assert coverage_at(TRUTH, IDS, 1) == pytest.approx(1 / 4)
    assert coverage_at(TRUTH, IDS, 3) == pytest.approx(3 / 4)
    table = ranking_metrics(TRUTH, IDS, None, recall_ks=(1, 2, 3), kinds=("Reach",))
    assert table == pytest.approx({"Reach@1": 60.0, "Reach@2": 80.0, "Reach@3": 80.0})


def test_average_precision_by_hand():
    # Row 0: hits at 1 and 3, two positives. Row 2: a hit at 2, three positives.
    assert map_at(TRUTH, IDS, 3) == pytest.approx(((1 + 2 / 3) / 2 + 0 + (1 / 2) / 3) / 3)
    assert map_at(TRUTH, IDS, 1) == pytest.approx(1 / 3)


def test_psndcg_by_hand_divides_by_the_unweighted_ideal():
    second, third = 1 / np.log2(3), 1 / np.log2(4)
    two, three = 1 + second, 1 + second + third
    gained = (4 + 1 * third) / two + 2 * second / three
    best = (4 + 1 * second) / two + (8 + 4 * second + 2 * third) / three
    assert psndcg_at(TRUTH, IDS, 3, WEIGHTS) == pytest.approx(gained / best)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(1, 12), st.integers(1, 12), st.integers(1, 14), st.integers(0, 2**31))
def test_coverage_equals_sets(num_rows, num_labels, width, k, seed):
    truth, ids = random_ranking(num_rows, num_labels, min(width, num_labels), seed)
    table = ranking_metrics(truth, ids, None, recall_ks=(k,), kinds=("Cov", "Reach"))
    own = [set(np.flatnonzero(row).tolist()) for row in truth.toarray()]
    lists = ids.tolist()
    assert table[f"Cov@{k}"] == pytest.approx(100 * coverage(own, lists, k))
    assert table[f"Reach@{k}"] == pytest.approx(100 * reach(lists, num_labels, k))


def share(truth: sp.csr_matrix, ids: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    world = current_world()
    rows = slice(*world.shard(len(ids)))
    totals = MetricTotals(truth.shape[1], weights, ks=(1, 3), recall_ks=(2, 5), kinds=KINDS)
    walk_hits(truth[rows], ids[rows], totals.add)
    totals.sum_over_ranks(world)
    return totals.metrics()


@pytest.mark.parametrize("size", [1, pytest.param(2, marks=pytest.mark.slow), 3])
def test_the_totals_of_ranks_are_those_of_one_process(ranks: Ranks, size: int) -> None:
    truth, ids = random_ranking(23, 40, 6, 1)
    weights = np.random.default_rng(0).random(40) + 1
    expected = ranking_metrics(truth, ids, weights, ks=(1, 3), recall_ks=(2, 5), kinds=KINDS)
    answers = ranks.run(share, truth, ids, weights, size=size)
    assert all(answer == answers[0] for answer in answers)
    assert answers[0] == pytest.approx(expected, rel=1e-12)
    assert list(expected) == list(answers[0])


def test_bad_requests_are_explained():
    with pytest.raises(ConfigError, match="kinds of metric among P, .*got AUC"):
        ranking_metrics(TRUTH, IDS, WEIGHTS, kinds=("AUC",))
    with pytest.raises(ConfigError, match="cut-offs of 1 and more"):
        ranking_metrics(TRUTH, IDS, WEIGHTS, recall_ks=(0,))
    with pytest.raises(ConfigError, match="inverse propensities for PSP@1"):
        ranking_metrics(TRUTH, IDS, None)
    with pytest.raises(DataError, match="3 rows, got 2"):
        ranking_metrics(TRUTH, IDS[:2], WEIGHTS)


def test_memory_does_not_grow_with_rows():
    from xmc.bench.resources import peak_extra_bytes

    truth, ids = random_ranking(500, 2000, 100, 2)
    truth, ids = sp.vstack([truth] * 8, format="csr"), np.tile(ids, (8, 1))
    ranking_metrics(truth[:100], ids[:100], None, kinds=("P",))
    extra = peak_extra_bytes(lambda: ranking_metrics(truth, ids, np.ones(2000), kinds=KINDS))
    # 600 positives per row, 2.4 million: as one block they take 210 MB.
    assert extra is None or extra < 120 << 20
