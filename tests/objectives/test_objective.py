from __future__ import annotations

import pytest
import torch
from torch import Tensor

from xmc.errors import ConfigError
from xmc.objectives import Term, WeightedTerms, build_objective, plain_objective
from xmc.objectives.objective import reduce_rows
from xmc.scoring import ScoreInputs


def test_rows_are_kept_summed_or_averaged() -> None:
    rows = torch.tensor([1.0, 2.0, 6.0])
    assert reduce_rows(rows, "none") is rows
    assert reduce_rows(rows, "sum") == 9
    assert reduce_rows(rows, "mean") == 3


def test_rows_count_for_what_they_weigh() -> None:
    rows, weights = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([1.0, 1.0, 0.5])
    assert reduce_rows(rows, "none", weights) is rows
    assert reduce_rows(rows, "sum", weights) == 6
    assert reduce_rows(rows, "mean", weights) == 6 / 2.5


@pytest.mark.parametrize("terms", [False, True])
def test_an_objective_and_its_terms_weigh_rows(terms: bool) -> None:
    queries, labels = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    weights, loss = torch.tensor([1.0, 2.0, 0.5]), build_objective("decoupled_softmax")
    loss = WeightedTerms((Term(loss), Term(build_objective("mean_squared_error")))) if terms else loss
    inputs = ScoreInputs(queries, labels, [[0], [1], [0, 2]], row_weights=weights)
    rows = loss(inputs, "none")
    torch.testing.assert_close(loss(inputs), (weights * rows).sum() / 3.5)
    torch.testing.assert_close(loss(inputs, "sum"), (weights * rows).sum())


def test_a_plain_loss_of_rows_is_weighed_and_a_scalar_refused() -> None:
    def far(queries: Tensor, labels: Tensor, positives: Tensor) -> Tensor:
        return -(queries @ labels.T * positives).sum(1)

    def mean(queries: Tensor, labels: Tensor, positives: Tensor) -> Tensor:
        return far(queries, labels, positives).mean()

    inputs = ScoreInputs(torch.eye(2), 2 * torch.eye(2), [[0], [1]], row_weights=torch.tensor([1.0, 3.0]))
    assert plain_objective("far", far)(inputs) == -2
    with pytest.raises(ConfigError, match="mean: expected one loss per query"):
        plain_objective("mean", mean)(inputs)


def test_no_rows_average_to_zero() -> None:
    assert reduce_rows(torch.zeros(0), "mean") == 0


def test_other_words_are_an_error() -> None:
    with pytest.raises(ConfigError, match="expected reduction to be 'mean', 'sum' or 'none', got 'median'"):
        reduce_rows(torch.zeros(1), "median")  # type: ignore[arg-type]
