"""Runs that train adapters on a transformer, whole and cut short, in one process and in several."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from tests.distributed.ranks import Ranks
from tests.runs import losses
from tests.training.test_world import train_as_rank
from xmc.encoders import DualEncoder
from xmc.encoders.adapters import num_adapter_parameters
from xmc.encoders.lora_config import LoraConfig
from xmc.errors import DataError
from xmc.training import TrainConfig, Trainer, train
from xmc.training.run.interrupt import InterruptGuard, Verdict

pytest.importorskip("peft")


@pytest.fixture
def adapted(config: TrainConfig, changed: Any, words_bert: Path) -> TrainConfig:
    """Six steps of separate towers."""
    return changed(
        config,
        encoder={
            "model": str(words_bert),
            "kind": "transformer",
            "query_length": 8,
            "label_length": 8,
            "dropout": 0.0,
            "lora": LoraConfig(rank=2, dropout=0.1),
        },
        training={"max_steps": 6, "learning_rate": None, "micro_batch_tokens": 40},
        validation={"rows": 0},
    )


def elsewhere(config: TrainConfig, changed: Any, folder: Path, **run: Any) -> TrainConfig:
    return changed(config, run={"dir": str(folder), **run})


def interrupted(config: TrainConfig, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Train until a signal comes between two steps."""
    asked = iter([Verdict.GO_ON] * after + [Verdict.INTERRUPT])
    with monkeypatch.context() as patched:
        patched.setattr(InterruptGuard, "agree", lambda self, wish: next(asked, Verdict.GO_ON))
        with pytest.raises(KeyboardInterrupt):
            train(config)


def test_adapters_alone_are_trained_kept_and_resumed(
    adapted: TrainConfig,
    changed: Any,
    words_bert: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trainer = Trainer(adapted)
    trainer.fit()
    shown = capsys.readouterr().out
    encoder, fresh = trainer.encoder, DualEncoder.build(adapted.encoder)
    frozen = {name: p for name, p in encoder.module.named_parameters() if not p.requires_grad}
    start = dict(fresh.module.named_parameters())
    assert frozen and all(torch.equal(p, start[name]) for name, p in frozen.items())
    trained = {name for name, p in encoder.module.named_parameters() if p.requires_grad}
    assert trained and all(".lora_" in name for name in trained)
    assert trainer.config.training.learning_rate == 1e-3

    number = num_adapter_parameters(encoder.module)
    every = sum(p.numel() for p in encoder.parameters())
    assert f"{number:,} of the encoder's {every:,} parameters are trained" in shown
    card = (Path(adapted.run.dir) / "model" / "README.md").read_text()
    assert f"Of its parameters {number:,} were trained, adapters of rank 2 that are merged" in card
    saved = DualEncoder.load(Path(adapted.run.dir), device="cpu")
    assert saved.fingerprint == encoder.fingerprint != fresh.fingerprint

    cut = elsewhere(adapted, changed, tmp_path / "cut")
    interrupted(cut, monkeypatch, after=3)
    [step] = (tmp_path / "cut" / "checkpoints").iterdir()
    with safe_open(step / "encoder.safetensors", "pt") as file:
        assert set(file.keys()) == {*trained, "frozen.sha256"}
    moments = load_file(step / "optimiser-adamw.safetensors")
    # The adapters, the labels' offsets and the scale.
    assert sum(t.numel() for name, t in moments.items() if name.endswith("exp_avg")) == number + 40 + 1
    again = elsewhere(adapted, changed, tmp_path / "cut", resume=True)
    train(again)
    assert losses(tmp_path / "cut") == losses(adapted.run.dir)
    assert DualEncoder.load(tmp_path / "cut", device="cpu").fingerprint == saved.fingerprint


def test_a_checkpoint_of_other_frozen_weights_is_refused(
    adapted: TrainConfig, changed: Any, words_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(words_bert, tmp_path / "bert")
    there = changed(adapted, encoder={"model": str(tmp_path / "bert")})
    interrupted(there, monkeypatch, after=1)
    path = tmp_path / "bert" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-4:] = b"\0\0\0\0"
    path.write_bytes(content)
    with pytest.raises(DataError, match="trained on other weights than those of encoder.model"):
        train(changed(there, run={"resume": True}))


@pytest.fixture
def still(adapted: TrainConfig, changed: Any, words_bert: Path, tmp_path: Path) -> TrainConfig:
    """Three steps without any dropout, whose draws follow the micro-batches of a rank."""
    shutil.copytree(words_bert, tmp_path / "still")
    path = tmp_path / "still" / "config.json"
    settings = json.loads(path.read_text())
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    path.write_text(json.dumps({**settings, **none}))
    return changed(
        adapted,
        encoder={"model": str(tmp_path / "still"), "lora": LoraConfig(rank=2)},
        training={"max_steps": 3},
        validation={"rows": 20},
    )


def test_the_gradient_cache_changes_nothing(still: TrainConfig, changed: Any, tmp_path: Path) -> None:
    train(still)
    train(changed(still, run={"dir": str(tmp_path / "whole")}, training={"micro_batch_tokens": 4096}))
    np.testing.assert_allclose(losses(still.run.dir), losses(tmp_path / "whole"), rtol=1e-5)


def test_two_ranks_follow_the_curve_of_one(
    still: TrainConfig, changed: Any, tmp_path: Path, ranks: Ranks
) -> None:
    train(still)
    shared = changed(still, run={"dir": str(tmp_path / "shared")})
    assert len(set(ranks.run(train_as_rank, shared, size=2, seconds=300))) == 1
    np.testing.assert_allclose(losses(tmp_path / "shared"), losses(still.run.dir), rtol=1e-4)
    one, many = (DualEncoder.load(Path(run) / "last") for run in (still.run.dir, tmp_path / "shared"))
    np.testing.assert_allclose(*(m.encode_queries(["query1 query2"]) for m in (one, many)), atol=1e-4)
