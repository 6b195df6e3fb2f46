from __future__ import annotations

import math

import pytest
import torch

from tests.objectives.batches import make_batch
from xmc.errors import ConfigError
from xmc.objectives import SphericalZLoss, spherical_z_loss
from xmc.objectives.losses import spherical_z_loss as z_loss


def test_the_first_line_says_which_z_loss_it_is_not() -> None:
    for text in (z_loss.__doc__, spherical_z_loss.__doc__):
        assert "not the log-partition penalty" in (text or "").splitlines()[0]


@pytest.mark.parametrize("decoupled", [False, True])
def test_it_ignores_shift_and_positive_scale_of_the_scores_but_not_their_sign(decoupled: bool) -> None:
    batch = make_batch(5, 9)
    arguments = batch.queries, batch.labels, batch.positives

    def loss(scale: float, shift: float) -> torch.Tensor:
        offsets = scale * batch.offsets + shift
        return spherical_z_loss(*arguments, scale=scale, offsets=offsets, decoupled=decoupled)

    for scale, shift in ((1.0, 50.0), (0.01, 0.0), (30.0, -7.0)):
        torch.testing.assert_close(loss(scale, shift), loss(1.0, 0.0))
    assert abs(loss(-1.0, 0.0) - loss(1.0, 0.0)) > 1e-3


@pytest.mark.parametrize("decoupled", [False, True])
def test_the_gradient_by_scores_sums_to_zero_and_is_orthogonal_to_them(decoupled: bool) -> None:
    batch = make_batch(3, 9, sampled=False)
    scores = (batch.queries @ batch.labels.T).requires_grad_()
    # One-hot labels make the queries themselves the scores.
    one_hot = torch.eye(9, dtype=torch.float64)
    spherical_z_loss(scores, one_hot, batch.positives, scale=1.0, decoupled=decoupled).backward()
    torch.testing.assert_close(scores.grad.sum(1), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close((scores.grad * scores).sum(1).detach(), torch.zeros(3, dtype=torch.float64))


def test_a_lone_positive_reaches_at_most_the_square_root_of_the_number_of_others() -> None:
    labels = torch.zeros(101, 1, dtype=torch.float64)
    labels[7] = 1.0
    loss = spherical_z_loss(torch.ones(1, 1, dtype=torch.float64), labels, [[7]], a=100.0, b=20.0)
    assert 20.0 - loss.item() == pytest.approx(math.sqrt(100), rel=1e-9)


def test_the_module_passes_its_options_on_and_checks_them() -> None:
    batch = make_batch(5, 9).to(torch.float32)
    arguments = batch.queries, batch.labels, batch.positives
    loss = SphericalZLoss(a=2.0, b=1.0, decoupled=True)(*arguments)
    torch.testing.assert_close(loss, spherical_z_loss(*arguments, a=2.0, b=1.0, decoupled=True))
    with pytest.raises(ConfigError, match="a above 0"):
        spherical_z_loss(*arguments, a=0.0)
