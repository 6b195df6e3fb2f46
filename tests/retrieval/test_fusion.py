from __future__ import annotations

import numpy as np
import pytest

from xmc.errors import ConfigError, DataError
from xmc.retrieval.fusion import (
    add_lists,
    min_max,
    normalised,
    reciprocal_rank_fusion,
    softmax_lists,
    weighted_fusion,
)


def lists(
    generator: np.random.Generator, rows: int, width: int, labels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Random lists, best first, some shorter than others; scores of one list all differ."""
    ids = np.full((rows, width), -1)
    scores = np.full((rows, width), -np.inf)
    for row in range(rows):
        count = int(generator.integers(2, width + 1))
        ids[row, :count] = generator.choice(labels, count, replace=False)
        scores[row, :count] = np.sort(generator.normal(size=count))[::-1]
    return ids, scores


def plain(parts: list[tuple[np.ndarray, np.ndarray]], k: int) -> list[list[tuple[int, float]]]:
    """The same by dictionaries."""
    found = []
    for row in range(len(parts[0][0])):
        sums: dict[int, float] = {}
        for ids, values in parts:
            for label, value in zip(ids[row].tolist(), values[row].tolist(), strict=True):
                if label >= 0:
                    sums[label] = sums.get(label, 0.0) + value
        found.append(sorted(sums.items(), key=lambda item: (-item[1], item[0]))[:k])
    return found


def test_sums_are_those_of_dictionaries() -> None:
    generator = np.random.default_rng(0)
    systems = [lists(generator, 20, width, 15) for width in (4, 9, 1 + 5)]
    parts = [(ids, np.where(ids >= 0, scores, 0.0)) for ids, scores in systems]
    for k in (1, 5, 30):
        ids, sums = add_lists(parts, k, 20)
        assert ids.shape == sums.shape == (20, k)
        for row, expected in enumerate(plain(parts, k)):
            assert [label for label in ids[row].tolist() if label >= 0] == [label for label, _ in expected]
            np.testing.assert_allclose(sums[row, : len(expected)], [value for _, value in expected])
            assert (ids[row, len(expected) :] == -1).all()
            assert (sums[row, len(expected) :] == -np.inf).all()


def test_equal_sums_go_by_label_id() -> None:
    ids, sums = reciprocal_rank_fusion([np.array([[7, 3]]), np.array([[3, 7]])], 2)
    assert ids.tolist() == [[3, 7]]
    assert sums.tolist() == [[1 / 61 + 1 / 62] * 2]


def test_min_max_of_lists() -> None:
    ids = np.array([[4, 2, 9], [1, -1, -1], [-1, -1, -1], [5, 6, -1]])
    scores = np.array([[3.0, 2.0, 1.0], [0.3, -np.inf, -np.inf], [-np.inf] * 3, [2.0, 2.0, -np.inf]])
    expected = [[1, 0.5, 0], [1, 0, 0], [0, 0, 0], [1, 1, 0]]
    np.testing.assert_allclose(min_max(ids, np.where(ids >= 0, scores, 0.0)), expected)


def test_shares_and_softmax_add_up_to_1() -> None:
    ids, scores = lists(np.random.default_rng(3), 10, 6, 40)
    shares = softmax_lists(ids, scores, 0.5)
    exact = np.exp(2 * scores) / np.exp(2 * scores).sum(1, keepdims=True)
    np.testing.assert_allclose(shares, exact, rtol=1e-12)
    np.testing.assert_allclose(normalised(ids, np.where(ids < 0, -np.inf, 3 * shares), "share"), exact)
    none = np.full((2, 3), -1)
    assert not softmax_lists(none, np.full((2, 3), -np.inf)).any()
    assert not normalised(none, np.full((2, 3), -np.inf), "share").any()


def test_a_system_of_weight_0_is_left_out_altogether() -> None:
    generator = np.random.default_rng(1)
    first, second = lists(generator, 10, 6, 40), lists(generator, 10, 6, 40)
    alone, _ = weighted_fusion([first, second], [0.5, 0.0], 6)
    np.testing.assert_array_equal(alone, first[0])


@pytest.mark.parametrize("weights", [[0.5], [0.0, 0.0], [1.0, -0.1], [np.nan, 1.0], [np.inf, 1.0]])
def test_weights_that_cannot_be(weights: list[float]) -> None:
    system = lists(np.random.default_rng(0), 2, 3, 9)
    with pytest.raises(ConfigError, match="weight"):
        weighted_fusion([system, system], weights, 3)


def test_wrong_inputs() -> None:
    system = lists(np.random.default_rng(0), 2, 3, 9)
    with pytest.raises(ConfigError, match="same 2 rows, got 2, 1"):
        weighted_fusion([system, (system[0][:1], system[1][:1])], [1, 1], 3)
    with pytest.raises(ConfigError, match="min_max or share or none, got 'max'"):
        weighted_fusion([system], [1], 3, normalisation="max")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="k to be at least 1"):
        weighted_fusion([system], [1], 0)
    with pytest.raises(ConfigError, match="constant above -1, got -1"):
        reciprocal_rank_fusion([system[0]], 3, constant=-1.0)
    with pytest.raises(ConfigError, match="temperature above 0, got 0"):
        softmax_lists(*system, temperature=0)
    with pytest.raises(DataError, match="row 1 .* at least 0 to take shares of"):
        weighted_fusion([(np.array([[1], [2]]), np.array([[1.0], [-1.0]]))], [1], 1, normalisation="share")
    with pytest.raises(DataError, match="row 1 .* finite scores"):
        weighted_fusion([(np.array([[1], [2]]), np.array([[1.0], [np.inf]]))], [1], 1)


@pytest.mark.parametrize("method", ["rrf", "min_max", "none"])
@pytest.mark.slow
def test_parity_with_ranx(method: str) -> None:
    ranx = pytest.importorskip("ranx", reason="ranx is of the extra slow")
    generator = np.random.default_rng(2)
    systems = [lists(generator, 12, width, 30) for width in (8, 5)]
    runs = [
        ranx.Run(
            {
                f"q{row}": {
                    f"l{label}": float(score)
                    for label, score in zip(ids[row].tolist(), scores[row].tolist(), strict=True)
                    if label >= 0
                }
                for row in range(12)
            }
        )
        for ids, scores in systems
    ]
    if method == "rrf":
        ids, sums = reciprocal_rank_fusion([system[0] for system in systems], 13)
        theirs = ranx.fuse(runs, norm=None, method="rrf")
    else:
        norm = None if method == "none" else "min-max"
        ids, sums = weighted_fusion(systems, [0.7, 0.3], 13, normalisation=method)  # type: ignore[arg-type]
        theirs = ranx.fuse(runs, norm=norm, method="wsum", params={"weights": [0.7, 0.3]})
    for row in range(12):
        ours = {f"l{label}": s for label, s in zip(ids[row].tolist(), sums[row], strict=True) if label >= 0}
        expected = dict(theirs[f"q{row}"])
        assert ours.keys() == expected.keys()
        np.testing.assert_allclose([ours[label] for label in expected], list(expected.values()), atol=1e-12)
        values = list(ours.values())
        assert values == sorted(values, reverse=True)
