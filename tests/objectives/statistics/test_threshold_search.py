from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.objectives.oracles import soft_threshold
from xmc.objectives.statistics.threshold_search import SigmoidSums, find_thresholds, sigmoid_sums


def solve(scores: Tensor, k: Tensor, alpha: float, evaluations: int = 60) -> tuple[Tensor, Tensor, int]:
    calls = []

    def evaluate(threshold: Tensor) -> SigmoidSums:
        calls.append(threshold)
        return sigmoid_sums(alpha * (scores + threshold[:, None]), None)

    level = (k / (scores.shape[1] - k)).log() / alpha
    bracket = level - scores.amax(1), level - scores.amin(1)
    start = (bracket[0] + bracket[1]) / 2
    found = find_thresholds(evaluate, k, alpha, bracket, start, tolerance=1e-8, max_evaluations=evaluations)
    return (*found, len(calls))


@settings(max_examples=40, deadline=None)
@given(
    num_labels=st.integers(2, 40),
    share=st.floats(0.01, 0.99),
    spread=st.sampled_from([0.0, 0.1, 1.0, 10.0, 100.0]),
    alpha=st.sampled_from([0.1, 1.0, 10.0]),
    seed=st.integers(0, 100),
)
def test_it_finds_what_bisection_finds(
    num_labels: int, share: float, spread: float, alpha: float, seed: int
) -> None:
    assume(alpha * spread <= 100)  # beyond, both tails of a plateau underflow and any point of it will do
    generator = torch.Generator().manual_seed(seed)
    scores = spread * torch.randn(3, num_labels, generator=generator, dtype=torch.float64) + 7.0
    k = torch.full((3,), share * num_labels, dtype=torch.float64)
    threshold, slope, _ = solve(scores, k, alpha)
    for row in range(3):
        expected = soft_threshold(scores[row].tolist(), [1.0] * num_labels, k[row].item(), alpha)
        z = alpha * (scores[row] + expected)
        assert threshold[row].item() == pytest.approx(expected, rel=1e-6, abs=1e-6)
        assert slope[row].item() == pytest.approx(
            (torch.sigmoid(z) * torch.sigmoid(-z)).sum().item(), rel=1e-4
        )


def test_a_plateau_is_crossed_in_few_evaluations() -> None:
    scores = torch.tensor([[90.0, 75.0, 52.0, -10.0, -30.0, -50.0]], dtype=torch.float64)
    threshold, _, evaluations = solve(scores, torch.tensor([3.0], dtype=torch.float64), alpha=2.0)
    assert threshold.item() == pytest.approx(-21.0, abs=1e-6), "half way between the third and the fourth"
    assert evaluations <= 5


def test_a_settled_row_is_left_alone_whatever_the_other_rows_do() -> None:
    easy = torch.zeros(1, 12, dtype=torch.float64)
    hard = 50 * torch.randn(1, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    k = torch.tensor([3.0, 3.0], dtype=torch.float64)
    alone, _, few = solve(easy, k[:1], 1.0)
    together, _, many = solve(torch.cat([easy, hard]), k, 1.0)
    assert many > few and together[0] == alone[0]


def test_sums_are_exact_where_indicators_are_almost_zero_or_one() -> None:
    sums = sigmoid_sums(torch.tensor([[80.0, 50.0, -50.0, -80.0]]), None)
    assert sums.count.item() == 2.0
    for tail in (sums.below, sums.above):
        assert tail.item() == pytest.approx(torch.tensor(-50.0, dtype=torch.float64).exp().item(), rel=1e-5)
