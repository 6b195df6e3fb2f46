from __future__ import annotations

import pytest
import torch

from xmc.distributed import current_world
from xmc.training.config import ObjectiveConfig, OptimisationConfig
from xmc.training.learned.learner import Learner, ScoreParameters, parameter_groups, warmup_linear_decay


def test_schedule_rises_then_falls_to_zero():
    factors = [warmup_linear_decay(step, 20, 0.2) for step in range(21)]
    assert factors[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert factors[-1] == 0.0 and all(a > b for a, b in zip(factors[4:], factors[5:], strict=False))
    assert warmup_linear_decay(0, 20, 0.0) == 1.0


def test_each_kind_of_parameter_has_its_own_rate():
    parameters = ScoreParameters(ObjectiveConfig(label_offsets=True, learn_scale=True), 5)
    config = OptimisationConfig(
        learning_rate=1.0, offset_learning_rate=2.0, scale_learning_rate=3.0, weight_decay=0.5
    )
    groups = parameter_groups(list(torch.nn.Linear(2, 3).parameters()), parameters, config)
    found = [(len(one.parameters), one.peak_rate, one.weight_decay, one.clipped) for one in groups]
    assert found == [(1, 1.0, 0.5, True), (1, 1.0, 0.0, True), (1, 2.0, 0.0, False), (1, 3.0, 0.0, False)]


def test_a_fixed_scale_and_no_offsets_learn_nothing():
    parameters = ScoreParameters(ObjectiveConfig(scale=7.0), 5)
    groups = parameter_groups(list(torch.nn.Linear(2, 3).parameters()), parameters, OptimisationConfig())
    assert [len(group.parameters) for group in groups] == [1, 1, 0, 0]
    assert float(parameters.scale) == pytest.approx(7.0) and parameters.offsets(torch.arange(2)) is None
    assert parameters.relative_offsets() is None


class Descent:
    """Plain gradient descent: what it subtracts is the gradient that it was given."""

    def __init__(self, parameters, clipped):
        self.dense, self.clipped = parameters, clipped

    def gather(self, world):
        pass

    def clipped_square(self):
        return self.clipped.grad.square().sum()

    def shrink(self, scale):
        self.clipped.grad *= scale

    def step(self, factor):
        with torch.no_grad():
            for parameter in self.dense:
                parameter -= factor * parameter.grad


@pytest.mark.parametrize(("clip_norm", "step"), [(2.0, 2.0), (10.0, 5.0), (None, 5.0)])
def test_the_encoders_gradient_alone_is_clipped_to_its_norm(clip_norm, step):
    """Of a gradient [3, 4], whose norm is 5."""
    encoder, offsets = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(2))
    encoder.grad = offsets.grad = torch.tensor([3.0, 4.0])
    offsets.grad = offsets.grad.clone()
    optimisers = {"descent": Descent([encoder, offsets], encoder)}
    learner = Learner(None, None, None, None, optimisers, clip_norm, current_world())
    assert float(learner.apply_gradients(1.0)) == pytest.approx(5.0)
    torch.testing.assert_close(encoder.detach(), torch.tensor([-3.0, -4.0]) * step / 5, atol=1e-5, rtol=0)
    torch.testing.assert_close(offsets.detach(), torch.tensor([-3.0, -4.0]))
