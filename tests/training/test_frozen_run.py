from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.fixtures.killed import train_until_killed
from tests.runs import losses
from xmc.data import Dataset
from xmc.encoders import DualEncoder
from xmc.training import train


def test_a_run_with_kept_layers_is_resumed_and_leaves_an_ordinary_model(
    config: Any,
    changed: Any,
    dataset: Dataset,
    bert_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = changed(
        config,
        encoder={
            "model": str(bert_folder), "kind": "transformer", "query_length": 8, "label_length": 8,
            "frozen_layers": 1, "frozen_cache": True,
        },
        training={"max_steps": 3, "learning_rate": 1e-3},
        validation={"rows": 0},
    )  # fmt: skip
    train(config)
    kept = {path: path.stat().st_mtime_ns for path in (dataset.path / "layers").glob("*/vectors.npy")}
    assert len(kept) == 2  # of queries and of labels

    killed = changed(config, run={"dir": str(tmp_path / "killed")}, training={"checkpoint_every": 1})

    train_until_killed(killed, 2, monkeypatch)
    train(changed(killed, run={"resume": True}))
    assert losses(config.run.dir) == losses(tmp_path / "killed")
    # What the first run made is read by the others.
    assert {path: path.stat().st_mtime_ns for path in (dataset.path / "layers").glob("*/*.npy")} == kept

    trained, source = DualEncoder.load(config.run.dir), DualEncoder.load(bert_folder)
    model, before = (one.query_tower.modules[0].model for one in (trained, source))
    for name, weight in model.named_parameters():
        assert weight.requires_grad
        same = torch.equal(weight, before.get_parameter(name))
        assert same == name.startswith(("embeddings.", "encoder.layer.0.", "pooler.")), name
