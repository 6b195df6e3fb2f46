from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from xmc.encoders import DualEncoder
from xmc.errors import ConfigError
from xmc.objectives import CATALOGUE, WeightedTerms
from xmc.objectives.margins.config import MarginConfig
from xmc.scoring import IMPLEMENTATIONS
from xmc.training import Trainer, train
from xmc.training import config as configuration
from xmc.training.config import ObjectiveConfig, TermConfig
from xmc.training.objective import configured_objective


def test_the_configuration_names_what_there_is():
    assert configuration.IMPLEMENTATIONS == IMPLEMENTATIONS


def test_options_are_bound():
    built = configured_objective(ObjectiveConfig(name="soft_top_k", options={"k": 3, "alpha": 4.0}))
    assert built.value.keywords == {"alpha": 4.0} and built.statistic.make.keywords == {"k": 3, "alpha": 4.0}


def test_terms_are_added():
    further = [TermConfig("softmax", 0.5, {"over_positives": "sum"}), TermConfig("spherical_z_loss", 2.0)]
    built = configured_objective(ObjectiveConfig(terms=further))
    assert isinstance(built, WeightedTerms) and [term.weight for term in built.terms] == [1.0, 0.5, 2.0]
    assert built.facts.name == "decoupled_softmax + softmax + spherical_z_loss"
    with pytest.raises(ConfigError, match="objective.terms: .*did you mean 'softmax'"):
        TermConfig("sotfmax")


@pytest.mark.parametrize(
    ("name", "option", "hint"),
    [
        ("soft_top_k", "alfa", "did you mean 'alpha'"),
        ("decoupled_softmax", "k", "decoupled_softmax has no option 'k': it has none"),
        ("soft_top_k", "scale", "alpha, k"),
    ],
)
def test_an_option_the_objective_lacks_is_refused(name, option, hint):
    with pytest.raises(ConfigError, match=hint):
        configured_objective(ObjectiveConfig(name=name, options={option: 1}))


def test_a_scale_that_nothing_depends_on_is_not_learned(config, changed):
    offsets = {"label_offsets": False}
    with pytest.raises(ConfigError, match="learn_scale: expected false with spherical_z_loss"):
        changed(config, objective={"name": "spherical_z_loss", "learn_scale": True, **offsets})
    changed(config, objective={"name": "spherical_z_loss", "learn_scale": True, "label_offsets": True})


def test_the_rate_of_the_scale_is_the_objectives_own_unless_given(config):
    facts = replace(CATALOGUE["softmax"], scale_learning_rate=0.5)
    assert configuration.with_scale_rate(config, facts).training.scale_learning_rate == 0.5
    given = replace(config, training=replace(config.training, scale_learning_rate=0.2))
    assert configuration.with_scale_rate(given, facts).training.scale_learning_rate == 0.2


@pytest.mark.parametrize("name", sorted(CATALOGUE))
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


def test_a_margin_of_the_recipe_is_in_the_losses_and_in_no_metric(config, changed, tmp_path):
    def losses(name, margin):
        run = {"dir": str(tmp_path / name)}
        result = train(changed(config, run=run, objective={"margin": margin}))
        lines = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        return lines[0]["validation"], [line["loss"] for line in lines if "loss" in line], result.validation

    none = losses("none", MarginConfig())
    elastic = MarginConfig("arcface", 0.3, deviation=0.1, ranked=True)
    first = losses("first", elastic)
    assert none[0] == first[0], "before the first step there is no difference"
    assert first[1][0] > none[1][0] and first[2]["P@1"] > 40
    assert losses("second", elastic)[1] == first[1]


@pytest.mark.parametrize(
    ("section", "options", "text"),
    [
        ("encoder", {"normalize": False}, "objective.margin: expected embeddings of length 1"),
        ("objective", {"name": "soft_top_k"}, "objective.margin: expected a loss"),
        ("head", {"kind": "factored"}, "factored"),
    ],
)
def test_a_margin_that_cannot_be_is_refused(config, changed, section, options, text):
    with pytest.raises(ConfigError, match=text):
        with_one = changed(config, objective={"margin": MarginConfig("cosface"), "label_offsets": False})
        train(changed(with_one, **{section: options}))


def test_a_virtual_negative_is_of_the_loss_and_not_of_what_is_measured(config, changed, tmp_path):
    def losses(name: str, product: float | None) -> tuple[dict[str, float], float]:
        run = {"dir": str(tmp_path / name), "log_every": 1}
        train(changed(config, run=run, objective={"virtual_negative": product}))
        lines = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        return lines[0]["validation"], next(line["loss"] for line in lines if "loss" in line)

    (validation, loss), (with_one, higher) = losses("none", None), losses("one", 0.7)
    assert validation == with_one and higher > loss + 0.01
    for wrong in (-3.0, 50.0):
        with pytest.raises(ConfigError, match="objective.virtual_negative: expected a cosine, from -1 to 1"):
            train(changed(config, objective={"virtual_negative": wrong}))
    with pytest.raises(ConfigError, match=r"objective.virtual_negative: expected a loss .* got soft_top_k"):
        train(changed(config, objective={"name": "soft_top_k", "virtual_negative": 0.7}))


def test_a_margin_wants_an_encoder_of_cosines(config):
    config = replace(config, objective=replace(config.objective, margin=MarginConfig("arcface")))
    own = DualEncoder.build(replace(config.encoder, normalize=False))
    with pytest.raises(ConfigError, match="does not end in a normalisation"):
        Trainer(config, encoder=own)
