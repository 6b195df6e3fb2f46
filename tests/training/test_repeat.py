"""A recipe with several seeds: each as it is alone, finished ones left, interrupted ones gone on with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.runs import losses
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError
from xmc.training import TrainResult, train
from xmc.training.repeat import mean_and_deviation, repeat
from xmc.training.run.interrupt import InterruptGuard, Verdict


@pytest.fixture
def short(config, changed):
    return changed(config, training={"epochs": 1})


def place(config, seed):
    return Path(config.run.dir) / f"seed-{seed}"


def test_each_seed_is_what_it_is_alone(short, changed, tmp_path):
    results = repeat(short, [1, 0])
    assert [result.model_path for result in results] == [place(short, seed) / "model" for seed in (1, 0)]
    alone = train(replace(changed(short, run={"dir": str(tmp_path / "alone")}), seed=0))
    assert losses(place(short, 0)) == losses(tmp_path / "alone") != losses(place(short, 1))
    prints = [DualEncoder.load(result.last_path).fingerprint for result in (results[1], alone, results[0])]
    assert prints[0] == prints[1] != prints[2]


def test_finished_seeds_are_left_and_an_interrupted_one_goes_on(short, tmp_path, monkeypatch, changed):
    whole = repeat(changed(short, run={"dir": str(tmp_path / "whole")}), [0, 1])
    steps = whole[0].num_steps
    asked = iter([Verdict.GO_ON] * (steps + 2) + [Verdict.INTERRUPT])
    with monkeypatch.context() as patched:
        patched.setattr(InterruptGuard, "agree", lambda self, wish: next(asked, Verdict.GO_ON))
        with pytest.raises(KeyboardInterrupt):
            repeat(short, [0, 1])
    finished = place(short, 0) / "result.json"
    written = finished.stat().st_mtime_ns
    assert not (place(short, 1) / "result.json").exists() and len(losses(place(short, 1))) < steps
    results = repeat(short, [0, 1])
    assert finished.stat().st_mtime_ns == written
    assert [result.validation for result in results] == [result.validation for result in whole]
    assert losses(place(short, 1)) == losses(tmp_path / "whole" / "seed-1")


def test_what_a_recipe_leaves_open_is_no_change(short, changed):
    open_ = changed(short, encoder={"kind": "auto"}, training={"learning_rate": None})
    assert repeat(open_, [0]) == repeat(open_, [0])


def test_another_configuration_is_refused(short, changed):
    before = repeat(short, [0])[0].num_steps
    other = changed(short, training={"epochs": 2})
    with pytest.raises(ConfigError, match=r"training.epochs 1\S* -> 2"):
        repeat(other, [0])
    with pytest.raises(ConfigError, match="is finished with another configuration"):
        repeat(changed(other, run={"resume_with_changes": True}), [0])
    assert repeat(changed(other, run={"overwrite": True}), [0])[0].num_steps == 2 * before


@pytest.mark.parametrize("seeds", [[], [1, 1], [-1]])
def test_seeds_that_are_none(short, seeds):
    with pytest.raises(ConfigError, match="--seeds: expected different numbers"):
        repeat(short, seeds)


def test_a_run_s_own_folder_is_refused(short):
    Path(short.run.dir).mkdir()
    (Path(short.run.dir) / "config.yaml").touch()
    with pytest.raises(ConfigError, match="is a run itself"):
        repeat(short, [0, 1])


def test_mean_and_deviation():
    def result(**validation):
        return TrainResult(Path("model"), Path("last"), 1, 1, validation, 1.0, 1.0)

    results = [result(a=1.0, b=5.0), result(a=2.0), result(a=4.0, b=5.0)]
    assert mean_and_deviation(results) == {
        "a": (pytest.approx(7 / 3), pytest.approx(np.std([1, 2, 4], ddof=1)))
    }
    assert mean_and_deviation(results[:1]) == {"a": (1.0, None), "b": (5.0, None)}
    assert mean_and_deviation([result()]) == {}
