from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from xmc.cli.config import load_train_config
from xmc.errors import ConfigError, DataError
from xmc.training import train
from xmc.training.run.changes import check_changes, read_changes
from xmc.training.run.interrupt import InterruptGuard, Verdict


@pytest.fixture
def cut(config, changed, monkeypatch):
    """A run that was interrupted after five steps."""
    verdicts = iter([Verdict.GO_ON] * 5 + [Verdict.INTERRUPT])
    with monkeypatch.context() as patched:
        patched.setattr(InterruptGuard, "agree", lambda *_: next(verdicts))
        with pytest.raises(KeyboardInterrupt):
            train(config)
    return changed(config, run={"resume": True})


def test_the_same_configuration_goes_on_and_records_nothing(cut, changed):
    assert train(changed(cut, run={"log_every": 3}, training={"checkpoint_every": 9})).changes == []
    assert not (Path(cut.run.dir) / "changes.jsonl").exists()


def test_another_is_refused_with_what_differs_and_leaves_the_run_alone(cut, changed):
    folder = Path(cut.run.dir)
    before = (folder / "config.yaml").read_text()
    other = changed(cut, training={"learning_rate": 0.02}, negatives={"uniform": 13})
    with pytest.raises(
        ConfigError,
        match=r"negatives.uniform 12 -> 13, training.learning_rate 0.1 -> 0.02: .*resume_with_changes true",
    ):
        train(other)
    assert (folder / "config.yaml").read_text() == before


def test_when_asked_for_it_is_recorded_with_its_step(cut, changed):
    other = changed(cut, run={"resume_with_changes": True}, training={"learning_rate": 0.02})
    result = train(other)
    recorded = [{"step": 5, "changes": {"training.learning_rate": [0.1, 0.02]}}]
    folder = Path(cut.run.dir)
    assert result.changes == recorded == read_changes(folder)
    assert json.loads((folder / "result.json").read_text())["changes"] == recorded
    assert yaml.safe_load((folder / "config.yaml").read_text())["training"]["learning_rate"] == 0.02


def test_a_damaged_configuration_is_named(cut):
    (Path(cut.run.dir) / "config.yaml").write_text("a: [")
    with pytest.raises(DataError, match="config.yaml: expected the configuration"):
        check_changes(cut)


def test_starting_over_forgets_the_changes_before(cut, changed):
    train(changed(cut, run={"resume_with_changes": True}, training={"learning_rate": 0.02}))
    result = train(changed(cut, run={"resume": False, "overwrite": True}))
    assert result.changes == []


def test_a_run_that_made_room_for_itself_goes_on_by_its_own_configuration(config, changed, monkeypatch):
    Path(config.run.dir).mkdir()
    (Path(config.run.dir) / "config.yaml").write_text("of: another run\n")
    verdicts = iter([Verdict.GO_ON] * 5 + [Verdict.INTERRUPT])
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(InterruptGuard, "agree", lambda *_: next(verdicts))
        train(changed(config, run={"overwrite": True}))
    recipe = str(Path(config.run.dir) / "config.yaml")
    result = train(load_train_config([recipe, "--run.resume", "true"]))
    assert result.num_steps > 5 and result.changes == []


def test_fewer_steps_than_were_taken_are_refused(cut, changed):
    fewer = changed(cut, run={"resume_with_changes": True}, training={"max_steps": 3})
    with pytest.raises(ConfigError, match="at least the 5 steps .* has taken, got 3 in all"):
        train(fewer)
    assert read_changes(Path(cut.run.dir)) == []


def test_the_number_of_models_kept_stays(cut, changed):
    with pytest.raises(ConfigError, match="run.keep_best: expected 1, .* got 2"):
        train(changed(cut, run={"resume_with_changes": True, "keep_best": 2}))


def test_a_run_of_before_there_were_margins_and_teachers_resumes(config, changed):
    folder = Path(config.run.dir)
    folder.mkdir()
    before = yaml.safe_load(yaml.safe_dump(asdict(config)))
    del before["distillation"], before["objective"]["margin"]
    (folder / "config.yaml").write_text(yaml.safe_dump(before), encoding="utf-8")
    resumed = changed(config, run={"resume": True})
    assert check_changes(resumed) == {}
    with pytest.raises(ConfigError, match=r"distillation\.teachers None -> 't.parquet'"):
        check_changes(changed(resumed, distillation={"teachers": "t.parquet"}))
