from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from tests.fixtures.killed import train_until_killed
from tests.fixtures.libraries import sbert
from tests.runs import losses
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError
from xmc.prediction import calibrate
from xmc.prediction.calibration import Calibration
from xmc.training import Trainer, loop, train
from xmc.training.run.checkpoint import Checkpointer
from xmc.training.run.interrupt import InterruptGuard, Verdict


def test_learns_and_leaves_a_whole_run_folder(config, dataset):
    trainer = Trainer(config)
    untrained = trainer_metrics(trainer)
    result = trainer.fit()
    assert untrained["P@1"] < 30 < 60 < result.validation["P@1"]
    assert result.num_steps == 28 and result.rows_per_second > 0
    folder = Path(config.run.dir)
    saved = yaml.safe_load((folder / "config.yaml").read_text())
    assert saved["seed"] == 3 and saved["training"]["epochs"] == 4
    assert json.loads((folder / "result.json").read_text())["best_step"] == result.best_step
    assert len(losses(folder)) == 28 and losses(folder)[-1] < losses(folder)[0] / 2
    model = DualEncoder.load(folder)
    assert model.label_offsets.uids == list(dataset.uids("labels"))
    assert model.metadata.dataset == "words" and model.metadata.scale != 20.0
    plain = sbert.SentenceTransformer(str(folder / "model"), device="cpu")
    np.testing.assert_allclose(plain.encode_query(["query3"]), model.encode_queries(["query3"]), atol=1e-6)


def trainer_metrics(trainer: Trainer) -> dict[str, float]:
    return trainer.validator(trainer.learner, trainer.prepare_inputs().frozen)


def test_it_says_how_many_texts_are_cut(config, changed, capsys):
    train(changed(config, encoder={"query_length": 2}, training={"epochs": 1}))
    said = capsys.readouterr().out
    assert "120 of 120 training queries fill the 2 tokens that are read (encoder.query_length)" in said
    assert "labels fill" not in said


def test_the_best_model_is_calibrated_by_its_validation(config, changed, tmp_path):
    result = train(config)
    kept = Calibration.load(result.model_path / "calibration.json")
    again = calibrate(config.run.dir, progress=False)
    assert (kept.rows, kept.num_rows, kept.depth) == (again.rows, 20, again.depth)
    assert (
        kept.model_fingerprint == again.model_fingerprint == DualEncoder.load(result.model_path).fingerprint
    )
    assert kept.best_f1().score == pytest.approx(again.best_f1().score, abs=1e-5)
    assert kept.probability.slope == pytest.approx(again.probability.slope, rel=1e-3)
    without = changed(config, validation={"rows": 0}, run={"dir": str(tmp_path / "without")})
    assert not (train(without).model_path / "calibration.json").exists()


def test_the_same_seed_gives_the_same_run(config, changed, tmp_path):
    train(config)
    train(changed(config, run={"dir": str(tmp_path / "again")}))
    train(changed(changed(config, run={"dir": str(tmp_path / "other")}), training={"learning_rate": 0.05}))
    assert losses(config.run.dir) == losses(tmp_path / "again")
    assert losses(config.run.dir) != losses(tmp_path / "other")


def test_a_run_that_was_interrupted_goes_on_as_if_it_was_not(config, changed, tmp_path, monkeypatch):
    train(config)
    cut = changed(config, run={"dir": str(tmp_path / "cut")})
    asked = iter([Verdict.GO_ON] * 13 + [Verdict.INTERRUPT])
    monkeypatch.setattr(InterruptGuard, "agree", lambda self, wish: next(asked, Verdict.GO_ON))
    with pytest.raises(KeyboardInterrupt):
        train(cut)
    assert not (tmp_path / "cut" / "result.json").exists()
    with pytest.raises(ConfigError, match="run.resume"):
        train(cut)
    train(changed(cut, run={"resume": True}))
    assert losses(config.run.dir) == losses(tmp_path / "cut")
    whole, resumed = (DualEncoder.load(Path(path) / "last") for path in (config.run.dir, tmp_path / "cut"))
    assert whole.fingerprint == resumed.fingerprint


def test_a_killed_run_goes_on_from_its_checkpoint(config, changed, tmp_path, monkeypatch):
    train(config)
    killed = changed(config, run={"dir": str(tmp_path / "killed")}, training={"checkpoint_every": 5})

    train_until_killed(killed, 13, monkeypatch)
    train(changed(killed, run={"resume": True}))
    assert losses(config.run.dir) == losses(tmp_path / "killed")


def test_tied_towers_of_two_lengths_are_checkpointed(config, changed):
    # Their table is one tensor under two names.
    tied = changed(config, encoder={"tied": True, "label_length": 7}, training={"checkpoint_every": 5})
    train(tied)
    assert list((Path(config.run.dir) / "checkpoints").glob("step-*"))


def test_accumulation_over_more_batches_than_the_run_has_is_refused(config, changed):
    expected = "training.accumulation: expected at most the 28 batches .* 4 epochs of 7, got 29: lower it"
    with pytest.raises(ConfigError, match=expected):
        train(changed(config, training={"accumulation": 29}))
    assert not Path(config.run.dir).exists()
    assert train(changed(config, training={"accumulation": 28})).num_steps == 1


def test_accumulation_is_one_larger_batch(config, changed, tmp_path):
    exact = changed(config, negatives={"mode": "all"}, encoder={"dropout": 0.0})
    train(exact)
    train(
        changed(exact, training={"batch_size": 7, "accumulation": 2}, run={"dir": str(tmp_path / "halves")})
    )
    np.testing.assert_allclose(losses(config.run.dir), losses(tmp_path / "halves"), rtol=2e-4)


def test_micro_batches_change_nothing(config, changed, tmp_path):
    whole = changed(config, encoder={"dropout": 0.0})
    train(whole)
    train(changed(whole, training={"micro_batch_tokens": 8}, run={"dir": str(tmp_path / "micro")}))
    np.testing.assert_allclose(losses(config.run.dir), losses(tmp_path / "micro"), rtol=2e-4)


def test_implementations_agree(config, changed, tmp_path):
    train(config)
    train(changed(config, scoring={"implementation": "dense"}, run={"dir": str(tmp_path / "dense")}))
    np.testing.assert_allclose(losses(config.run.dir), losses(tmp_path / "dense"), rtol=2e-4)


def test_without_validation_the_last_model_is_the_model(config, changed):
    result = train(changed(config, validation={"rows": 0}, training={"epochs": 1}))
    assert result.validation == {} and result.best_step == result.num_steps
    assert DualEncoder.load(result.model_path).fingerprint == DualEncoder.load(result.last_path).fingerprint


def test_an_earlier_run_is_never_overwritten_unasked(config, changed):
    short = changed(config, training={"epochs": 0.3})
    train(short)
    with pytest.raises(ConfigError, match="run.overwrite"):
        train(short)
    train(changed(short, run={"overwrite": True}))


def test_trackers_get_the_numbers(config, changed):
    train(changed(config, training={"epochs": 0.3}, run={"trackers": ["tensorboard"]}))
    assert list(Path(config.run.dir).rglob("events.out.tfevents*"))


def test_says_what_the_run_will_cost_and_what_is_skipped(config, changed, capsys):
    train(changed(config, training={"epochs": 0.3}))
    printed = capsys.readouterr().out
    assert "steps of 14 queries" in printed and "1 training row has no label" in printed


def test_a_checkpoint_is_saved_by_time(config, changed, monkeypatch):
    """Every look of the loop at the clock is four minutes later than the one before."""
    ticks = itertools.count()
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: 240.0 * next(ticks)))
    saved = []
    save = Checkpointer.save
    monkeypatch.setattr(Checkpointer, "save", lambda self, step: saved.append(step) or save(self, step))
    timed = changed(config, training={"epochs": 2, "checkpoint_minutes": 10.0})
    Trainer(timed).fit()
    # A look at the start, one after each step, and one at each save: due at the third after the last save.
    assert saved == [3, 6, 9, 12]
    saved.clear()
    Trainer(changed(timed, run={"overwrite": True}, training={"checkpoint_minutes": 0.0})).fit()
    assert saved == []
