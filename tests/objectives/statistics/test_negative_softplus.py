from __future__ import annotations

import itertools
import math

import pytest
import torch

from tests.objectives.batches import make_batch
from xmc.objectives.statistics.negative_softplus import NegativeSoftplus
from xmc.scoring import ScoreInputs, as_positives, reduce_scores


def test_its_mean_over_all_samples_is_its_value_over_all_labels() -> None:
    batch = make_batch(3, 6, sampled=False)
    positives = [[0], [1, 2], []]
    exact = reduce_scores(
        ScoreInputs(batch.queries, batch.labels, as_positives(positives, 3, 6)), NegativeSoftplus()
    )[1]
    estimates = []
    for drawn in itertools.combinations(range(6), 4):
        local = [[drawn.index(c) for c in ids if c in drawn] for ids in positives]
        chosen = list(drawn)
        log_weights = torch.full((4,), math.log(6 / 4), dtype=torch.float64)
        pairs = as_positives(local, 3, 4)
        estimates.append(
            reduce_scores(
                ScoreInputs(batch.queries, batch.labels[chosen], pairs, log_weights=log_weights),
                NegativeSoftplus(),
            )[1]
        )
    torch.testing.assert_close(torch.stack(estimates).mean(0), exact)


@pytest.mark.parametrize("score", [-200.0, -20.0, 0.0, 20.0, 200.0])
def test_it_is_accurate_in_float32_far_out(score: float) -> None:
    statistic = NegativeSoftplus()
    value = reduce_scores(
        ScoreInputs(torch.tensor([[score]]), torch.ones(1, 1), as_positives([[]], 1, 1), scale=1.0), statistic
    )[1]
    expected = max(score, 0.0) + math.log1p(math.exp(-abs(score)))
    assert value.item() == pytest.approx(expected, rel=1e-6)
