from __future__ import annotations

import torch

from tests.objectives.batches import make_batch
from xmc.objectives import MeanSquaredError, mean_squared_error


def test_it_is_the_squared_distance_of_scores_to_the_multi_hot_positives() -> None:
    batch = make_batch(5, 9, sampled=False, weighted=False)
    scores = 0.5 * batch.queries @ batch.labels.T
    expected = (scores - torch.from_numpy(batch.positives.toarray())).square().sum(1)
    rows = mean_squared_error(batch.queries, batch.labels, batch.positives, scale=0.5, reduction="none")
    torch.testing.assert_close(rows, expected)


def test_the_module_passes_its_options_on() -> None:
    batch = make_batch(5, 9).to(torch.float32)
    arguments = batch.queries, batch.labels, batch.positives
    loss = MeanSquaredError(decoupled=True)(*arguments)
    torch.testing.assert_close(loss, mean_squared_error(*arguments, scale=1.0, decoupled=True))
