from __future__ import annotations

import json
from pathlib import Path

import pytest

from xmc.encoders import DualEncoder
from xmc.errors import ConfigError
from xmc.training import train
from xmc.training.run.interrupt import InterruptGuard, Verdict


def fingerprint(path: Path) -> str:
    return DualEncoder.load(path).fingerprint


def test_the_best_models_are_kept_under_their_steps(config, changed, monkeypatch):
    several = changed(config, run={"keep_best": 2}, validation={"every": 5})
    metrics = iter([0.0, 1.0, 3.0, 2.0, 3.0, 0.5, 0.1])

    def measure(self, learner, frozen):
        return dict.fromkeys(("P@1", "P@5", "nDCG@5", "PSP@5", "R@100"), next(metrics))

    monkeypatch.setattr("xmc.training.validation.Validator.__call__", measure)
    result = train(several)
    folder = Path(config.run.dir)
    assert [(kept["step"], kept["metrics"]["nDCG@5"]) for kept in result.kept] == [(10, 3.0), (20, 3.0)]
    assert result.best_step == 10 and result.validation["nDCG@5"] == 3.0
    assert sorted(path.name for path in (folder / "models").iterdir()) == ["step-00000010", "step-00000020"]
    assert fingerprint(folder / "model") == fingerprint(folder / "models" / "step-00000010")
    assert fingerprint(folder / "model") != fingerprint(folder / "models" / "step-00000020")
    listed = json.loads((folder / "result.json").read_text())["kept"]
    assert [Path(kept["path"]) for kept in listed] == [Path(kept["path"]) for kept in result.kept]


def test_a_resumed_run_keeps_the_same_models(config, changed, tmp_path, monkeypatch):
    several = changed(config, run={"keep_best": 2}, validation={"every": 5})
    whole = train(several)
    cut = changed(several, run={"dir": str(tmp_path / "cut")})
    asked = iter([Verdict.GO_ON] * 17 + [Verdict.INTERRUPT])
    monkeypatch.setattr(InterruptGuard, "agree", lambda self, wish: next(asked, Verdict.GO_ON))
    with pytest.raises(KeyboardInterrupt):
        train(cut)
    resumed = train(changed(cut, run={"resume": True}))
    assert [kept["step"] for kept in resumed.kept] == [kept["step"] for kept in whole.kept]
    for one, other in zip(whole.kept, resumed.kept, strict=True):
        assert fingerprint(one["path"]) == fingerprint(other["path"])


def test_of_one_model_the_others_are_removed(config, changed):
    result = train(config)
    folder = Path(config.run.dir)
    assert [path.name for path in (folder / "models").iterdir()] == [f"step-{result.best_step:08d}"]
    assert [kept["path"] for kept in result.kept] == [(folder / "model").resolve()]
    assert result.model_path == folder / "model"
    with pytest.raises(ConfigError, match="run.keep_best"):
        changed(config, run={"keep_best": 0})
