from __future__ import annotations

import math

import numpy as np
import torch

from xmc.training.learned.optimisers.row_optimiser import RowRMSProp, TouchedRows

ROWS = ([0, 3], [3], [1, 3, 4], [0])


def test_against_float64_row_by_row() -> None:
    generator = np.random.default_rng(0)
    start = generator.normal(size=(5, 6))
    table, expected = torch.from_numpy(start).float(), start.copy()
    rule, mean, count = RowRMSProp(table), np.zeros(5), np.zeros(5)
    for rows in ROWS:
        gradient = generator.normal(size=(len(rows), 6))
        for row, g in zip(rows, gradient * 0.5, strict=True):
            count[row] += 1
            mean[row] = 0.999 * mean[row] + 0.001 * float(np.mean(g**2))
            expected[row] -= 0.1 * g / math.sqrt(mean[row] / (1 - 0.999 ** count[row]))
        rule.step(table, TouchedRows(torch.tensor(rows), torch.from_numpy(gradient).float(), 0.5), 0.1)
    np.testing.assert_allclose(table.numpy(), expected, atol=1e-5)
    assert rule.tensors()["steps"].tolist() == [2, 1, 0, 3, 1]


def test_the_first_step_of_a_row_is_of_the_rate_however_late_it_comes() -> None:
    """In the root mean square over its components, whatever the gradient's size."""
    table = torch.zeros(2, 4)
    rule = RowRMSProp(table)
    for _ in range(20):
        rule.step(table, TouchedRows(torch.tensor([0]), torch.ones(1, 4)), 0.01)
    rule.step(table, TouchedRows(torch.tensor([1]), torch.tensor([[3e-7, 0, 0, 4e-7]])), 0.01)
    torch.testing.assert_close(table[1].square().mean().sqrt(), torch.tensor(0.01))


def test_a_zero_gradient_moves_nothing() -> None:
    table = torch.ones(2, 2)
    RowRMSProp(table).step(table, TouchedRows(torch.tensor([0]), torch.zeros(1, 2)), 1.0)
    assert torch.equal(table, torch.ones(2, 2))
