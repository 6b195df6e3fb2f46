"""Runs that train the query tower alone, with the labels' vectors kept."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.distributed.ranks import Ranks
from tests.runs import losses
from tests.training.test_lora_run import interrupted
from tests.training.test_world import train_as_rank
from xmc.data import Dataset
from xmc.encoders import DualEncoder, Tower
from xmc.errors import ConfigError
from xmc.evaluation import evaluate
from xmc.retrieval import LabelIndex
from xmc.training import TrainConfig, Trainer, train


@pytest.fixture
def frozen(config: TrainConfig, changed: Any, dataset: Dataset, tmp_path: Path) -> TrainConfig:
    """Of a copy of the data set, where the vectors go."""
    shutil.copytree(dataset.path, tmp_path / "words", ignore=shutil.ignore_patterns("label_vectors"))
    return changed(
        config,
        data={"path": str(tmp_path / "words")},
        encoder={"frozen_labels": True, "dropout": 0.0},
        validation={"rows": 20},
    )


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which towers are called from here on: "query" or "label" each time."""
    called: list[str] = []
    original = Tower.__call__

    def call(self: Tower, ids: Any, offsets: Any) -> torch.Tensor:
        called.append(self.task)
        return original(self, ids, offsets)

    monkeypatch.setattr(Tower, "__call__", call)
    return called


def test_labels_are_encoded_once_and_the_index_and_evaluation_take_their_vectors(
    frozen: TrainConfig, encoded: list[str]
) -> None:
    trainer = Trainer(frozen)
    start = trainer.encoder.encode_labels(trainer.dataset)
    before = [p.clone() for m in trainer.encoder.label_tower.modules for p in m.parameters()]
    trainer.prepare_inputs()
    encoded.clear()
    result = trainer.fit()
    assert set(encoded) == {"query"}
    after = [p for m in trainer.encoder.label_tower.modules for p in m.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert result.validation["P@1"] > 30

    data = Dataset.load(frozen.data.path)
    model = DualEncoder.load(frozen.run.dir, device="cpu")
    encoded.clear()
    index = LabelIndex.build(model, data, progress=False)
    measured = evaluate(model, data)
    assert set(encoded) == {"query"} and measured.metrics["P@1"] > 20
    np.testing.assert_allclose(index._changes.store.vectors(np.arange(40))[:, :24], start, atol=1e-6)  # type: ignore[index]
    # Labels that come later are encoded by the same tower.
    index.add(["label3"], ["again"])
    np.testing.assert_allclose(index._changes.store.vectors(np.array([40]))[0, :24], start[3], atol=1e-6)  # type: ignore[index]


def test_the_loss_is_that_of_encoding_labels_in_every_step(
    frozen: TrainConfig, changed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(frozen)
    original = Trainer.prepare_inputs

    def without(self: Trainer) -> Any:
        from dataclasses import replace

        inputs = original(self)
        return replace(inputs, frozen=replace(inputs.frozen, kept=None))

    monkeypatch.setattr(Trainer, "prepare_inputs", without)
    train(changed(frozen, run={"dir": str(tmp_path / "encoding")}))
    np.testing.assert_allclose(losses(tmp_path / "encoding"), losses(frozen.run.dir), rtol=1e-5)


def test_a_run_goes_on_from_a_checkpoint_without_the_label_tower(
    frozen: TrainConfig, changed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    residuals = changed(frozen, residuals={"enabled": True})
    train(residuals)
    cut = changed(residuals, run={"dir": str(tmp_path / "cut")})
    interrupted(cut, monkeypatch, after=13)
    [step] = (tmp_path / "cut" / "checkpoints").iterdir()
    table = 81 * 24 * 4
    assert table < (step / "encoder.safetensors").stat().st_size < 1.2 * table
    train(changed(cut, run={"resume": True}))
    assert losses(tmp_path / "cut") == losses(residuals.run.dir)


def test_a_head_and_several_texts_are_refused(frozen: TrainConfig, changed: Any) -> None:
    with pytest.raises(ConfigError, match="frozen_labels: expected false with a factored head"):
        changed(frozen, head={"kind": "factored"})
    with pytest.raises(ConfigError, match="frozen_labels: expected false with data.label_texts 'lines'"):
        changed(frozen, data={"label_texts": "lines"})


def test_two_ranks_follow_the_curve_of_one(
    frozen: TrainConfig, changed: Any, tmp_path: Path, ranks: Ranks
) -> None:
    train(frozen)
    shared = changed(frozen, run={"dir": str(tmp_path / "shared")})
    ranks.run(train_as_rank, shared, size=2, seconds=300)
    np.testing.assert_allclose(losses(tmp_path / "shared"), losses(frozen.run.dir), rtol=1e-4)
