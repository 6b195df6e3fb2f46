from __future__ import annotations

import pytest
import torch

from xmc.training.config import ObjectiveConfig, OptimisationConfig
from xmc.training.learned.learner import ScoreParameters, parameter_groups, warmup_linear_decay


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
    found = [(len(group.parameters), group.peak_rate, group.weight_decay) for group in groups]
    assert found == [(1, 1.0, 0.5), (1, 1.0, 0.0), (1, 2.0, 0.0), (1, 3.0, 0.0)]


def test_a_fixed_scale_and_no_offsets_learn_nothing():
    parameters = ScoreParameters(ObjectiveConfig(scale=7.0), 5)
    groups = parameter_groups(list(torch.nn.Linear(2, 3).parameters()), parameters, OptimisationConfig())
    assert [len(group.parameters) for group in groups] == [1, 1, 0, 0]
    assert float(parameters.scale) == pytest.approx(7.0) and parameters.offsets(torch.arange(2)) is None
    assert parameters.relative_offsets() is None
