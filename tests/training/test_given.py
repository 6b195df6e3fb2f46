"""Parts that a script hands to the trainer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from xmc.errors import ConfigError
from xmc.objectives import build_objective
from xmc.training import train
from xmc.training.given import Given


def plain(queries: Tensor, labels: Tensor, positives: Tensor, scale: Tensor, log_weights: Tensor) -> Tensor:
    scores = scale * queries @ labels.T + log_weights
    return torch.nn.functional.softplus(torch.where(positives, -scores, scores)).sum(1)


def test_a_plain_function_trains_and_the_recipe_shows_it(config, changed):
    own = changed(config, objective={"label_offsets": False, "name": "softmax"})
    result = train(own, objective=plain)
    assert result.validation["P@1"] > 15
    written = yaml.safe_load((Path(config.run.dir) / "config.yaml").read_text())
    assert written["objective"]["name"] == f"<python>:{__name__}.plain"
    assert result.plugins[0]["file"] == str(Path(__file__).resolve())


def test_an_objective_is_shown_by_its_name(config):
    given = Given(objective=build_objective("soft_top_k", {"k": 3}))
    assert given.shown_in(config).objective.name == "<python>:soft_top_k"
    assert Given().shown_in(config) == config


def test_what_is_no_objective_is_refused(config, changed):
    for wrong in (3, type(build_objective("softmax")), torch.nn.Linear(2, 2)):
        with pytest.raises(ConfigError, match="expected an objective .* or a function of queries"):
            train(config, objective=wrong)
    with pytest.raises(ConfigError, match="objective.options: expected none"):
        train(changed(config, objective={"options": {"k": 3}}), objective=build_objective("softmax"))
