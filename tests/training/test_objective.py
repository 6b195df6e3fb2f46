from __future__ import annotations

import math

import pytest

from xmc.errors import ConfigError
from xmc.objectives import OBJECTIVES, soft_top_k
from xmc.scoring import IMPLEMENTATIONS
from xmc.training import config as configuration
from xmc.training import train
from xmc.training.config import ObjectiveConfig
from xmc.training.objective import build_objective


def test_the_configuration_names_what_there_is():
    assert set(configuration.OBJECTIVES) == set(OBJECTIVES)
    assert configuration.IMPLEMENTATIONS == IMPLEMENTATIONS


def test_options_are_bound():
    built = build_objective(ObjectiveConfig(name="soft_top_k", options={"k": 3, "alpha": 4.0}))
    assert built.func is soft_top_k and built.keywords == {"k": 3, "alpha": 4.0}


@pytest.mark.parametrize(
    ("name", "option", "hint"),
    [
        ("soft_top_k", "alfa", "did you mean 'alpha'"),
        ("decoupled_softmax", "k", "expected one of none"),
        ("soft_top_k", "scale", "alpha, k"),
    ],
)
def test_an_option_the_objective_lacks_is_refused(name, option, hint):
    with pytest.raises(ConfigError, match=hint):
        build_objective(ObjectiveConfig(name=name, options={option: 1}))


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_every_objective_trains(config, changed, name):
    fixed = {"label_offsets": False, "learn_scale": False}
    result = train(
        changed(
            config,
            # The squared error pulls scores to 0 and 1, which a scale of 20 oversteps.
            objective={"name": name, "scale": 2.0 if name == "mean_squared_error" else 20.0, **fixed},
            encoder={"dropout": 0.0},
            negatives={"mode": "all"},
            training={"epochs": 6},
        )
    )
    # Guessing gives 7.5: three of forty labels are right. Scale-free statistics learn slowly at this rate.
    assert math.isfinite(result.validation["P@1"]) and result.validation["P@1"] > 15
