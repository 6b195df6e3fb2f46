from __future__ import annotations

import pytest
import torch

from tests.objectives.batches import make_batch
from xmc.errors import ConfigError
from xmc.objectives import SphericalSoftmax, spherical_softmax


@pytest.mark.parametrize("decoupled", [False, True])
def test_it_is_even_in_the_scores_and_scales_with_eps(decoupled: bool) -> None:
    batch = make_batch(5, 9, sampled=False)
    arguments = batch.queries, batch.labels, batch.positives
    loss = spherical_softmax(*arguments, scale=2.0, eps=0.5, decoupled=decoupled)
    torch.testing.assert_close(spherical_softmax(*arguments, scale=-2.0, eps=0.5, decoupled=decoupled), loss)
    torch.testing.assert_close(spherical_softmax(*arguments, scale=20.0, eps=50.0, decoupled=decoupled), loss)


def test_eps_bounds_the_gradient_at_a_score_of_zero() -> None:
    queries = torch.zeros(1, 2, requires_grad=True)
    spherical_softmax(queries, torch.eye(2), [[0]], eps=0.1).backward()
    assert torch.isfinite(queries.grad).all()
    with pytest.raises(ConfigError, match="eps above 0"):
        spherical_softmax(queries, torch.eye(2), [[0]], eps=0.0)


def test_the_module_passes_its_options_on() -> None:
    batch = make_batch(5, 9).to(torch.float32)
    arguments = batch.queries, batch.labels, batch.positives
    loss = SphericalSoftmax(scale=3.0, eps=0.2, decoupled=True)(*arguments)
    torch.testing.assert_close(loss, spherical_softmax(*arguments, scale=3.0, eps=0.2, decoupled=True))
