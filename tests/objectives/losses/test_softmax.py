from __future__ import annotations

import pytest
import torch

from tests.objectives.batches import Batch, make_batch
from xmc.errors import ConfigError
from xmc.objectives import Softmax, decoupled_softmax, softmax


def one_positive_a_row(num_rows: int, num_labels: int) -> tuple[Batch, list[list[int]]]:
    return make_batch(num_rows, num_labels, seed=8), [[(3 * row) % num_labels] for row in range(num_rows)]


def test_with_one_positive_a_row_it_is_the_decoupled_softmax_and_cross_entropy() -> None:
    batch, positives = one_positive_a_row(5, 9)
    options = {"scale": batch.scale, "offsets": batch.offsets}
    expected = decoupled_softmax(batch.queries, batch.labels, positives, **options)
    scores = batch.scale * batch.queries @ batch.labels.T + batch.offsets
    targets = torch.tensor([ids[0] for ids in positives])
    for over_positives in ("mean", "sum"):
        loss = softmax(batch.queries, batch.labels, positives, over_positives=over_positives, **options)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(scores, targets))


def test_the_sum_is_the_mean_times_the_number_of_positives() -> None:
    batch = make_batch(5, 9, weighted=False)
    mean, total = (
        softmax(batch.queries, batch.labels, batch.positives, over_positives=over, reduction="none")
        for over in ("mean", "sum")
    )
    counts = torch.tensor([batch.positives[i].nnz for i in range(5)])
    torch.testing.assert_close(total, mean * counts)


def test_a_positive_is_in_its_row_exactly_once_whatever_it_stands_for_as_a_negative() -> None:
    batch, positives = one_positive_a_row(1, 6)
    log_weights = torch.zeros(6, dtype=torch.float64)
    expected = softmax(batch.queries, batch.labels, positives, log_weights=log_weights)
    log_weights[positives[0][0]] = 5.0
    assert softmax(batch.queries, batch.labels, positives, log_weights=log_weights) == expected


def test_positives_compete_with_each_other_unlike_in_the_decoupled_softmax() -> None:
    queries, labels = torch.ones(1, 1), torch.tensor([[0.0], [5.0], [0.0]])
    weak = torch.autograd.functional.jacobian(
        lambda e: softmax(queries, e, [[0, 1]], scale=1.0, reduction="sum"), labels
    )
    decoupled = torch.autograd.functional.jacobian(
        lambda e: decoupled_softmax(queries, e, [[0, 1]], scale=1.0, reduction="sum"), labels
    )
    assert weak[1] > 0, "the strong positive is pushed down in favour of the weak one"
    assert decoupled[1] < 0


def test_it_learns_its_scale_as_a_module() -> None:
    batch, positives = one_positive_a_row(5, 9)
    module = Softmax(scale=2.0, learn_scale=True, over_positives="sum")
    loss = module(batch.queries.float(), batch.labels.float(), positives)
    loss.backward()
    expected = softmax(
        batch.queries.float(), batch.labels.float(), positives, scale=2.0, over_positives="sum"
    )
    torch.testing.assert_close(loss, expected)
    assert module.log_scale.grad is not None and module.log_scale.grad != 0


def test_an_unknown_normalisation_is_refused() -> None:
    with pytest.raises(ConfigError, match="over_positives"):
        Softmax(over_positives="max")
