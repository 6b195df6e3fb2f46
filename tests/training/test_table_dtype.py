"""Runs whose tables are bfloat16: their models are float32, and they resume to the last bit."""

from __future__ import annotations

import pytest
import torch

from tests.fixtures.killed import train_until_killed
from tests.runs import losses
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError
from xmc.prediction.calibration import Calibration
from xmc.training import Trainer, train
from xmc.training.config import OptimisationConfig


@pytest.mark.parametrize("tied", [True, False])
def test_a_killed_run_goes_on_to_the_last_bit(config, changed, tmp_path, monkeypatch, tied):
    options = {"table_dtype": "bfloat16", "checkpoint_every": 5, "epochs": 2, "weight_decay": 0.01}
    short = changed(config, encoder={"tied": tied}, residuals={"enabled": True}, training=options)
    result = train(short)
    killed = changed(short, run={"dir": str(tmp_path / "killed")})

    train_until_killed(killed, 8, monkeypatch)
    resumed = Trainer(changed(killed, run={"resume": True}))
    again = resumed.fit()
    learner = resumed.learner
    tables = [learner.residuals.table, *(tower.token_table for tower in learner.encoder.towers)]
    assert {table.dtype for table in tables} == {torch.bfloat16}
    assert losses(short.run.dir) == losses(tmp_path / "killed")
    models = [DualEncoder.load(path) for path in (result.last_path, again.last_path)]
    assert models[0].fingerprint == models[1].fingerprint == learner.encoder.fingerprint
    assert {p.dtype for model in models for p in model.parameters()} == {torch.float32}
    kept = Calibration.load(again.model_path / "calibration.json").model_fingerprint
    assert kept == DualEncoder.load(again.model_path).fingerprint


def test_it_learns_as_float32_does(config, changed, tmp_path):
    single = train(config)
    half = changed(config, training={"table_dtype": "bfloat16"}, run={"dir": str(tmp_path / "half")})
    assert train(half).validation["P@1"] == pytest.approx(single.validation["P@1"], abs=10)
    assert losses(half.run.dir)[-5:] == pytest.approx(losses(config.run.dir)[-5:], rel=0.1)


def test_where_it_cannot_be_it_is_refused(config, changed):
    with pytest.raises(ConfigError, match=r"training.table_dtype: expected float32 with .*adamw"):
        OptimisationConfig(table_dtype="bfloat16", token_optimiser="adamw")
    with pytest.raises(ConfigError, match="training.table_dtype"):
        OptimisationConfig(table_dtype="float16")
    encoder = DualEncoder.build(config.encoder, None)
    for parameter in encoder.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(ConfigError, match="no table that is trained by rows"):
        Trainer(changed(config, training={"table_dtype": "bfloat16"}), encoder=encoder)
