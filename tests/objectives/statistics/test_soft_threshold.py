from __future__ import annotations

import torch

from tests.objectives.batches import make_batch
from tests.objectives.oracles import soft_threshold
from xmc.objectives.statistics.soft_threshold import SoftThreshold
from xmc.scoring import ScoreInputs, as_positives, reduce_scores


def test_indicators_add_up_to_k_over_what_labels_stand_for() -> None:
    batch = make_batch(4, 60, seed=3)
    pairs = as_positives(batch.positives, 4, 60)
    k = torch.tensor([1.0, 2.5, 7.0, 0.1])
    statistic = SoftThreshold(k, 2.0, torch.full((4,), -3.0), torch.full((4,), 3.0))
    scores = batch.queries @ batch.labels.T
    found = reduce_scores(
        ScoreInputs(batch.queries, batch.labels, pairs, scale=1.0, log_weights=batch.log_weights), statistic
    )[1]
    factors = batch.log_weights.exp().repeat(4, 1)
    factors[pairs.rows, pairs.labels] = 1.0
    indicators = torch.sigmoid(2.0 * (scores + found[:, :1]))
    torch.testing.assert_close((factors * indicators).sum(1), k.double())
    torch.testing.assert_close(found[:, 1], (factors * indicators * (1 - indicators)).sum(1))
    expected = soft_threshold(scores[1].tolist(), factors[1].tolist(), 2.5, 2.0)
    torch.testing.assert_close(found[1, 0].item(), expected)


def test_its_derivative_adds_up_to_minus_one() -> None:
    batch = make_batch(3, 20, seed=4)
    offsets = torch.zeros(20, dtype=torch.float64, requires_grad=True)
    statistic = SoftThreshold(torch.full((3,), 2.0), 1.0, torch.full((3,), -3.0), torch.full((3,), 3.0))
    pairs = as_positives([[], [], []], 3, 20)
    threshold = reduce_scores(ScoreInputs(batch.queries, batch.labels, pairs, offsets=offsets), statistic)[1][
        :, 0
    ]
    threshold[1].backward()
    assert (offsets.grad <= 0).all()
    torch.testing.assert_close(offsets.grad.sum(), torch.tensor(-1.0, dtype=torch.float64))
