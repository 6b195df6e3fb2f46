"""A run's model is read once for its name, and again as soon as a byte of it is another."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from xmc.encoders import DualEncoder, StaticQueries
from xmc.errors import ModelError
from xmc.reports.run_model import run_model


@pytest.fixture(params=["static_folder", "bert_folder"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    shutil.copytree(request.getfixturevalue(request.param), tmp_path / "run" / "model")
    (tmp_path / "run" / "config.yaml").write_text("data: {path: d}\n")
    return tmp_path / "run"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each time that a model is opened."""
    opened: list[str] = []
    for kind in (DualEncoder, StaticQueries):

        def load(path: str, *, of: type = kind, real: object = kind.load) -> object:
            opened.append(of.__name__)
            return real(path)  # type: ignore[operator]

        monkeypatch.setattr(kind, "load", load)
    return opened


def test_read_once(run: Path, reads: list[str]) -> None:
    first = run_model(run)
    assert reads and first.fingerprint == DualEncoder.load(run).fingerprint
    reads.clear()
    again = run_model(run)
    assert not reads and again.opened is None
    assert (again.fingerprint, again.metadata.scale) == (first.fingerprint, first.metadata.scale)


def test_another_model_is_read_again(run: Path, reads: list[str]) -> None:
    before = run_model(run)
    model = DualEncoder.load(run)
    with torch.no_grad():
        next(iter(model.parameters())).mul_(2)
    shutil.rmtree(run / "model")
    model.save(run / "model")
    reads.clear()
    after = run_model(run)
    assert reads and after.fingerprint == model.fingerprint != before.fingerprint
    assert json.loads((run / "known_model.json").read_text())["fingerprint"] == model.fingerprint


def test_a_damaged_model_is_refused_though_it_was_known(run: Path) -> None:
    run_model(run)
    (weights,) = (run / "model").rglob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(ModelError):
        run_model(run)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"files": 3, "fingerprint": "a"}', '{"files": ""}', "[" * 99_999]
)
def test_what_is_not_known_is_read(run: Path, content: str) -> None:
    expected = run_model(run).fingerprint
    (run / "known_model.json").write_text(content)
    assert run_model(run).fingerprint == expected
    assert json.loads((run / "known_model.json").read_text())["fingerprint"] == expected


def test_a_card_and_a_calibration_change_nothing(run: Path, reads: list[str]) -> None:
    run_model(run)
    (run / "model" / "README.md").write_text("another card")
    (run / "model" / "calibration.json").write_text("{}")
    reads.clear()
    run_model(run)
    assert not reads
