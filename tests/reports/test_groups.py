from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from xmc.errors import ConfigError
from xmc.evaluation import precision_at
from xmc.evaluation.hits import all_hits
from xmc.reports.group_metrics import label_group_sums, query_group_sums
from xmc.reports.groups import (
    Groups,
    frequency_deciles,
    head_torso_tail,
    num_words,
    query_length_groups,
    query_positives_groups,
    seen_and_unseen,
)
from xmc.reports.measures import metric_sums


def test_head_torso_tail_and_unseen_have_their_bounds() -> None:
    points = np.array([0, 1, 5, 6, 50, 51, 400])
    found = head_torso_tail(points)
    assert [found.names[group] for group in found.of] == [
        "unseen",
        "tail",
        "tail",
        "torso",
        "torso",
        "head",
        "head",
    ]
    assert found.bounds == (
        "more than 50 points",
        "6 to 50 points",
        "1 to 5 points",
        "no training point",
    )
    assert head_torso_tail(np.array([1, 2])).names == ("tail",)
    with pytest.raises(ConfigError, match="rising"):
        head_torso_tail(points, (5, 5))


def test_seen_and_unseen() -> None:
    found = seen_and_unseen(np.array([0, 3, 0]))
    assert found.names == ("seen", "unseen") and found.of.tolist() == [1, 0, 1]


def test_deciles_hold_a_tenth_of_the_volume_each() -> None:
    points = np.arange(1, 2001)
    found = frequency_deciles(points)
    volume = np.bincount(found.of, weights=points)
    assert found.names == tuple(str(number) for number in range(1, 11))
    np.testing.assert_allclose(volume / points.sum(), 0.1, atol=0.002)
    assert (np.diff(found.of) <= 0).all(), "the first decile holds the most frequent"
    assert found.bounds[0].endswith(" to 2,000 points")


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_deciles_keep_equal_frequencies_together_and_in_order(counts: list[int]) -> None:
    points = np.array(counts)
    found = frequency_deciles(points)
    by_frequency = {int(p): {int(g) for g in found.of[points == p]} for p in points}
    assert all(len(groups) == 1 for groups in by_frequency.values())
    ordered = [found.of[points == p][0] for p in sorted(by_frequency, reverse=True)]
    assert ordered == sorted(ordered) and (found.sizes > 0).all()
    assert ("unseen" in found.names) == (0 in counts)


def test_queries_by_positives_and_length() -> None:
    truth = sp.csr_matrix(np.tril(np.ones((30, 30)), -1))
    found = query_positives_groups(truth)
    sizes = dict(zip(found.names, found.sizes.tolist(), strict=True))
    assert sizes == {"0": 1, "1": 1, "2": 1, "3 to 5": 3, "6 to 10": 5, "11 to 20": 10, "over 20": 9}
    assert query_positives_groups(sp.csr_matrix(np.eye(3))).bounds == ("1 positive",)
    assert num_words(["a  b", "", "c"]).tolist() == [2, 0, 1]
    lengths = query_length_groups(np.array([1, 1, 1, 1, 1, 2, 3, 9]))
    assert lengths.names == ("1", "2", "3 to 9") and lengths.sizes.tolist() == [5, 1, 2]
    assert (np.diff(lengths.of) >= 0).all()
    assert query_length_groups(np.array([4, 4])).names == ("4",)


@pytest.fixture
def ranking() -> tuple[sp.csr_matrix, np.ndarray]:
    generator = np.random.default_rng(0)
    truth = sp.csr_matrix((generator.random((50, 20)) < 0.15).astype(np.float32))
    ids = np.argsort(generator.random((50, 20)), axis=1)[:, :8].astype(np.int32)
    ids[3, 5:] = -1
    ids[4] = -1
    return truth, ids


@pytest.mark.parametrize("k", [1, 5, 8])
def test_label_groups_against_loops(ranking, k: int) -> None:  # type: ignore[no-untyped-def]
    truth, ids = ranking
    groups = Groups(("a", "b", "c"), ("", "", ""), np.arange(20) % 3)
    sums = label_group_sums(all_hits(truth, ids), ids, groups, k)
    assert sums.names == ("P", "P", "P", "R", "R", "R", "slots", "slots", "slots")
    ratios = sums.gained.sum(axis=0) / sums.whole.sum(axis=0)
    for g in range(3):
        part, recalls, slots = 0.0, [], 0
        for row in range(50):
            positives = {int(label) for label in truth[row].indices if label % 3 == g}
            top = [int(label) for label in ids[row, :k] if label >= 0 and label % 3 == g]
            part += len(positives & set(top)) / k
            slots += len(top)
            if positives:
                recalls.append(len(positives & set(top)) / len(positives))
        assert ratios[g] == pytest.approx(part / 50)
        assert ratios[3 + g] == pytest.approx(np.mean(recalls))
        assert ratios[6 + g] == pytest.approx(slots / (50 * k))
    assert ratios[:3].sum() == pytest.approx(precision_at(truth, ids, k))


def test_query_groups_are_the_metrics_of_their_rows(ranking) -> None:  # type: ignore[no-untyped-def]
    truth, ids = ranking
    weights = np.linspace(1, 3, 20)
    groups = Groups(("a", "b"), ("", ""), (np.arange(50) % 7 == 0).astype(np.int64))
    sums = metric_sums(all_hits(truth, ids), 8, weights)
    found = query_group_sums(sums, groups)
    ratios = (found.gained.sum(axis=0) / found.whole.sum(axis=0)).reshape(2, -1)
    for g in range(2):
        rows = np.flatnonzero(groups.of == g)
        alone = metric_sums(all_hits(truth[rows], ids[rows]), 8, weights)
        np.testing.assert_allclose(ratios[g], alone.gained.sum(axis=0) / alone.whole.sum(axis=0))
