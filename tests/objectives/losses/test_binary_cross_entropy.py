from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.objectives.batches import make_batch
from xmc.errors import ConfigError
from xmc.objectives import BinaryCrossEntropy, binary_cross_entropy, prior_log_odds


def test_it_is_the_binary_cross_entropy_of_all_pairs() -> None:
    batch = make_batch(5, 9, sampled=False, weighted=False)
    targets = torch.from_numpy(batch.positives.toarray())
    scores = 3.0 * batch.queries @ batch.labels.T
    expected = F.binary_cross_entropy_with_logits(scores, targets)
    loss = binary_cross_entropy(
        batch.queries, batch.labels, batch.positives, scale=3.0, bias=0.0, over_labels="mean"
    )
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("sampled", [True, False])
def test_the_mean_over_labels_divides_by_the_labels_that_are_stood_for(sampled: bool) -> None:
    batch = make_batch(5, 9, sampled=sampled)
    arguments = {"positives": batch.positives, "log_weights": batch.log_weights}
    total, mean = (
        binary_cross_entropy(batch.queries, batch.labels, over_labels=over, **arguments)
        for over in ("sum", "mean")
    )
    labels = batch.log_weights.exp().sum() if sampled else 9
    torch.testing.assert_close(mean, total / labels)


def test_the_prior_log_odds_predict_the_mean_number_of_positives() -> None:
    assert 1000 * torch.sigmoid(torch.tensor(prior_log_odds(5.0, 1000))).item() == pytest.approx(5.0)
    assert prior_log_odds(4.0, 8) == 0.0
    for wrong in (0.0, 8.0, -1.0):
        with pytest.raises(ConfigError, match="positives"):
            prior_log_odds(wrong, 8)


def test_the_default_bias_balances_positives_and_negatives_at_scores_of_zero() -> None:
    queries, labels = torch.zeros(4, 2), torch.zeros(5000, 2)
    positives = [[1, 2], [3], [4, 5, 6], [7, 8]]
    pushes = {}
    for bias in (0.0, None):
        offsets = torch.zeros(5000, requires_grad=True)
        binary_cross_entropy(queries, labels, positives, offsets=offsets, bias=bias).backward()
        pushes[bias] = offsets.grad.sum().item()
    assert pushes[0.0] > 2000, "without it all labels are pushed down at once"
    assert pushes[None] == pytest.approx(0.0, abs=1e-2)


def test_a_bias_can_be_learned_and_no_positives_or_no_negatives_keep_it_finite() -> None:
    queries, labels = torch.randn(3, 2), torch.randn(4, 2)
    bias = torch.zeros((), requires_grad=True)
    binary_cross_entropy(queries, labels, [[0], [1], []], bias=bias).backward()
    assert bias.grad is not None and bias.grad != 0
    for positives in ([[], [], []], [list(range(4))] * 3):
        assert math.isfinite(binary_cross_entropy(queries, labels, positives))


def trained_precision(bias: float | None) -> float:
    """P@1 on the training rows after a few steps on free embeddings of 3,000 labels."""
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(48, 16, generator=generator)
    labels = torch.randn(3000, 16, generator=generator)
    for table in (queries, labels):
        table.requires_grad_()
    positives = [[row, row + 100] for row in range(48)]
    optimiser = torch.optim.Adam([queries, labels], lr=0.05)
    for _ in range(40):
        optimiser.zero_grad()
        normalised = (F.normalize(t, dim=1) for t in (queries, labels))
        binary_cross_entropy(*normalised, positives, scale=20.0, bias=bias).backward()
        optimiser.step()
    best = best_labels(queries, labels)
    return sum(int(best[row]) in positives[row] for row in range(48)) / 48


def best_labels(queries: Tensor, labels: Tensor) -> Tensor:
    return (F.normalize(queries, dim=1) @ F.normalize(labels, dim=1).T).argmax(1)


def test_with_its_bias_it_trains_where_without_it_collapses() -> None:
    assert trained_precision(None) >= 0.9
    assert trained_precision(0.0) <= 0.5


def test_the_module_passes_its_options_on() -> None:
    batch = make_batch(5, 9).to(torch.float32)
    arguments = batch.queries, batch.labels, batch.positives
    loss = BinaryCrossEntropy(scale=3.0, bias=-2.0, over_labels="mean")(*arguments)
    torch.testing.assert_close(
        loss, binary_cross_entropy(*arguments, scale=3.0, bias=-2.0, over_labels="mean")
    )
    with pytest.raises(ConfigError, match="over_labels"):
        binary_cross_entropy(*arguments, over_labels="max")  # type: ignore[arg-type]
