from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor

from xmc.errors import ConfigError, XMCError
from xmc.objectives import build_objective, plain_objective
from xmc.objectives.distillation.config import DistillationConfig
from xmc.objectives.distillation.loss import with_distillation
from xmc.objectives.objective import Loss
from xmc.objectives.terms import Term, WeightedTerms
from xmc.training import TrainConfig
from xmc.training.batches import NegativesConfig
from xmc.training.config import DataConfig, ObjectiveConfig, RunOptions, ScoringConfig
from xmc.training.objective_checks import check_masked, check_steps, read_where

CPU = torch.device("cpu")


def bare(queries: Tensor, labels: Tensor, positives: Tensor) -> Tensor:
    return (queries @ labels.T).mean()


def scaled(queries: Tensor, labels: Tensor, positives: Tensor, scale: Tensor) -> Tensor:
    return scale * (queries @ labels.T).mean()


def full(
    queries: Tensor, labels: Tensor, positives: Tensor, offsets: Tensor, log_weights: Tensor, masked: Tensor
) -> Tensor:
    return (queries @ labels.T + offsets + log_weights).mean()


def summed(*losses: Loss) -> Loss:
    return WeightedTerms(tuple(Term(loss) for loss in losses))


def config(**sections: Any) -> TrainConfig:
    return TrainConfig(DataConfig("data"), RunOptions("run"), **sections)


BARE, SCALED, FULL = (plain_objective(f.__name__, f) for f in (bare, scaled, full))
SOFTMAX = build_objective("softmax")
SAMPLED = config(negatives=NegativesConfig(mode="sampled", uniform=5))
LEARNED = config(objective=ObjectiveConfig(learn_scale=True))
OFFSETS = config(objective=ObjectiveConfig(label_offsets=True))


@pytest.mark.parametrize("loss", [BARE, summed(SOFTMAX, BARE)], ids=["alone", "as a term"])
def test_a_function_without_an_argument_that_steps_need_is_refused(loss: Loss) -> None:
    with pytest.raises(ConfigError, match="^bare: the labels of a step are a sample"):
        check_steps(loss, SAMPLED, CPU)
    with pytest.raises(ConfigError, match="^bare: labels learn offsets"):
        check_steps(loss, OFFSETS, CPU)
    with pytest.raises(ConfigError, match="^bare: the data set's filter has pairs"):
        check_masked(loss, True)
    check_masked(loss, False)
    check_steps(loss, config(), CPU)
    check_steps(loss, replace(SAMPLED, negatives=replace(SAMPLED.negatives, corrected=False)), CPU)


def test_a_function_with_the_arguments_is_taken() -> None:
    for loss in (FULL, SOFTMAX):
        check_steps(loss, SAMPLED, CPU)
        check_steps(loss, OFFSETS, CPU)
        check_masked(loss, True)


def test_a_scale_that_nothing_reads_is_not_learned() -> None:
    for loss in (BARE, FULL, summed(BARE, FULL)):
        with pytest.raises(ConfigError, match="learn_scale: expected false with .* no argument `scale`"):
            check_steps(loss, LEARNED, CPU)
    for loss in (SCALED, SOFTMAX, summed(BARE, SOFTMAX), summed(BARE, SCALED)):
        check_steps(loss, LEARNED, CPU)


def test_kernels_are_refused_where_they_do_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("triton") is not None:
        monkeypatch.setattr("xmc.scoring.fused.kernels.INTERPRETED", False)
    fused = config(scoring=ScoringConfig("triton"))
    soft = with_distillation(BARE, DistillationConfig(teachers="t.parquet", discriminator="none"))
    for loss in (SOFTMAX, summed(BARE, SOFTMAX), soft):
        with pytest.raises(XMCError, match="^scoring.implementation: the triton implementation"):
            check_steps(loss, fused, CPU)
        check_steps(loss, config(scoring=ScoringConfig("tiled")), CPU)
    # Neither asks for the kernels, whatever the option says.
    check_steps(BARE, fused, CPU)
    check_steps(build_objective("taylor_softmax"), fused, CPU)


def test_what_functions_do_not_read() -> None:
    def options(loss: Loss, config: TrainConfig) -> list[str]:
        return [option for row in read_where(loss, config) for option in row.options]

    scoring = ["scoring.implementation", "scoring.memory_mb", "scoring.precision"]
    assert options(BARE, config()) == [*scoring, "objective.scale"] == options(summed(BARE, FULL), config())
    assert (
        options(SCALED, config())
        == scoring
        == options(FULL, OFFSETS)
        == options(summed(BARE, SCALED), config())
    )
    assert options(SOFTMAX, config()) == [] == options(summed(BARE, SOFTMAX), config())
    assert options(BARE, config(distillation=DistillationConfig(teachers="t.parquet"))) == []
