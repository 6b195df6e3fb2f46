"""The example of an objective in SentenceTransformerTrainer, on a tiny model made here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.fixtures.tiny_models import save_static, tiny_tokenizer


def test_it_trains_and_prints_a_label_for_every_query(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from examples.sentence_transformers_trainer import LABELS, QUERIES, main

    model = save_static(tmp_path / "model", tiny_tokenizer(), embedding_dim=8)
    words = [str(model), "--output", str(tmp_path / "out"), "--epochs", "2"]
    monkeypatch.setattr(sys, "argv", ["example", *words])
    main()
    lines = [line.split(" -> ") for line in capsys.readouterr().out.splitlines() if " -> " in line]
    assert [query for query, _ in lines] == list(QUERIES)
    assert {label for _, label in lines} <= set(LABELS)


def test_the_toy_data_names_labels_that_there_are() -> None:
    from examples.sentence_transformers_trainer import LABELS, QUERIES

    assert all(0 <= label < len(LABELS) for ids in QUERIES.values() for label in ids)
