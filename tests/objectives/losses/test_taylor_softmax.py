from __future__ import annotations

import torch

from tests.objectives.batches import make_batch
from xmc.objectives import TaylorSoftmax, softmax, taylor_softmax
from xmc.objectives.losses.taylor_softmax import taylor


def test_the_expansion_is_at_least_a_half_and_least_at_minus_one() -> None:
    scores = torch.linspace(-300, 300, 60_001, dtype=torch.float64)
    values = taylor(scores)
    assert values.min() >= 0.5 and scores[values.argmin()].abs() - 1 < 1e-6
    torch.testing.assert_close(values, 1 + scores + scores**2 / 2)


def test_it_is_near_the_softmax_for_small_scores() -> None:
    batch = make_batch(5, 9, sampled=False)
    arguments = batch.queries, batch.labels, batch.positives
    torch.testing.assert_close(
        taylor_softmax(*arguments, scale=0.01), softmax(*arguments, scale=0.01), rtol=1e-5, atol=0
    )


def test_the_module_passes_its_options_on() -> None:
    batch = make_batch(5, 9).to(torch.float32)
    arguments = batch.queries, batch.labels, batch.positives
    loss = TaylorSoftmax(scale=3.0, decoupled=True)(*arguments)
    torch.testing.assert_close(loss, taylor_softmax(*arguments, scale=3.0, decoupled=True))
