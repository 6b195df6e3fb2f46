from __future__ import annotations

import torch

from xmc.objectives.statistics.segments import row_log_sum_exp
from xmc.scoring import as_positives


def test_it_is_the_log_sum_exp_of_each_row() -> None:
    pairs = as_positives([[0, 2], [], [1], [0, 1, 2]], 4, 3)
    values = torch.randn(len(pairs), dtype=torch.float64) * 100
    found = row_log_sum_exp(values, pairs)
    for row in range(4):
        expected = torch.logsumexp(values[pairs.rows == row], 0)
        torch.testing.assert_close(found[row], expected)


def test_a_row_without_values_passes_no_gradient() -> None:
    pairs = as_positives([[0], []], 2, 1)
    values = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    result = row_log_sum_exp(values, pairs)
    assert result[1] == -torch.inf
    torch.where(torch.isfinite(result), result, 0.0).sum().backward()
    assert values.grad.tolist() == [1.0]
