"""Runs whose margin changes from batch to batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.killed import train_until_killed
from tests.runs import losses
from xmc.objectives import MarginConfig
from xmc.training import TrainConfig, train

Changed = Callable[..., TrainConfig]

ANNEALED = MarginConfig("l_softmax", multiple=3, plain_start=50.0, plain_decay=0.5, plain_least=0.0)
DRAWN = MarginConfig("arcface", 0.2, deviation=0.1, ranked=True)


@pytest.mark.parametrize("margin", [ANNEALED, DRAWN], ids=["annealed", "drawn"])
def test_a_cut_run_goes_on_with_the_margin_that_its_batches_have(
    margin: MarginConfig,
    config: TrainConfig,
    changed: Changed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    training = {"epochs": 2, "accumulation": 2, "checkpoint_every": 2}
    run = changed(config, objective={"margin": margin}, training=training, encoder={"dropout": 0.0})
    train(run)
    whole = losses(run.run.dir)

    again = changed(run, run={"dir": str(tmp_path / "again")})
    train_until_killed(again, 2, monkeypatch)
    train(changed(again, run={"resume": True}))
    assert losses(str(tmp_path / "again")) == whole

    # It is the margin that makes the difference: from the second step on the plain cosine weighs less.
    plain = changed(run, objective={"margin": MarginConfig()}, run={"dir": str(tmp_path / "plain")})
    train(plain)
    assert abs(whole[-1] - losses(plain.run.dir)[-1]) > 0.01
