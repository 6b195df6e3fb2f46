from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from xmc.data import Dataset, DatasetWriter
from xmc.durations import duration
from xmc.encoders import DualEncoder
from xmc.training import Trainer
from xmc.training.callbacks import announce
from xmc.training.callbacks.announce import announce_texts
from xmc.training.config import DataConfig


def test_a_run_says_what_texts_it_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with DatasetWriter(tmp_path / "d", name="d") as writer:
        writer.add_label("a", "tent", "for two")
        writer.add_label("b", "tent", "")
        writer.add_row("train", "q", "camping", "in spring", [0])
    dataset = Dataset.load(tmp_path / "d")
    announce_texts(dataset, DataConfig(path=str(dataset.path)))
    assert capsys.readouterr().out.splitlines() == [
        "a query is its title + content, a label its title + content",
        "1 of 2 labels has no content",
    ]
    announce_texts(
        dataset, DataConfig(path=str(dataset.path), query_fields=["title"], label_fields=["title"])
    )
    assert capsys.readouterr().out.splitlines() == [
        "a query is its title, a label its title",
        "1 of 2 labels has a content, which is not read (data.label_fields decides)",
        "2 of 2 labels have the text of another one",
    ]


def test_a_transformer_on_a_cpu_is_said_to_be_slow_and_how_slow(
    config: Any,
    changed: Any,
    bert_folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A clock that moves by what a text takes: 0.5 s for a query, 0.25 s for a label."""
    clock = [0.0]
    monkeypatch.setattr(announce, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    for method, seconds in (("encode_queries", 0.5), ("encode_labels", 0.25)):
        original = getattr(DualEncoder, method)

        def encode(
            self: DualEncoder, texts: Any, *, _original: Any = original, _s: float = seconds, **o: Any
        ) -> Any:
            clock[0] += _s * len(texts)
            return _original(self, texts, **o)

        monkeypatch.setattr(DualEncoder, method, encode)
    config = changed(
        config,
        encoder={"model": str(bert_folder), "kind": "transformer", "query_length": 8, "label_length": 8},
        training={"max_steps": 1, "learning_rate": None, "batch_size": 65},
        validation={"rows": 0},
    )
    trainer = Trainer(config)
    rows = trainer.batches.sampler.batch_size
    assert rows < 65  # batches are of one size
    pool = trainer.batches.pools.expected_size()
    trainer.fit()
    shown = capsys.readouterr().out
    step = duration(4 * (rows * 0.5 + pool * 0.25))
    assert f"a transformer on a CPU: about {step} a step, {step} in all; --encoder.kind static" in shown
    assert trainer.config.training.learning_rate == 1e-4


def test_a_static_encoder_is_not(config: Any, changed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = Trainer(
        changed(config, encoder={"kind": "auto"}, training={"max_steps": 1, "learning_rate": None})
    )
    trainer.fit()
    assert "a transformer on a CPU" not in capsys.readouterr().out
    assert (trainer.config.encoder.kind, trainer.config.training.learning_rate) == ("static", 3e-3)
