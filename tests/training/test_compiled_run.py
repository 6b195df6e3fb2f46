from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.runs import losses
from xmc.encoders import compiled_layers
from xmc.errors import ConfigError
from xmc.training import train


def test_a_run_takes_the_steps_of_an_uncompiled_one(
    config: Any, changed: Any, bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def run_plainly(function: Callable[..., Any], backend: object) -> Callable[..., Any]:
        asked.append(function.__name__)
        return function

    monkeypatch.setattr(compiled_layers, "compiled", run_plainly)
    plain = changed(
        config,
        encoder={"model": str(bert_folder), "kind": "transformer", "query_length": 8, "label_length": 8},
        training={"max_steps": 3, "learning_rate": 1e-3, "micro_batch_tokens": 40},
        validation={"rows": 0},
    )
    train(plain)
    assert not asked
    train(changed(plain, run={"dir": str(tmp_path / "compiled")}, training={"compile": True}))
    assert set(asked) == {"_after_bert"}
    assert losses(tmp_path / "compiled") == losses(plain.run.dir)


def test_a_bag_of_tokens_is_refused_before_a_folder_is_made(config: Any, changed: Any) -> None:
    with pytest.raises(ConfigError, match=r"training\.compile: expected a transformer of BERT's"):
        train(changed(config, training={"compile": True}))
    assert not Path(config.run.dir).exists()
