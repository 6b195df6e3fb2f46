from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.million_labels import made_up_labels, made_up_queries, main


def test_labels_are_unit_vectors_with_near_copies() -> None:
    random = np.random.default_rng(0)
    labels = made_up_labels(300, 32, random)
    queries = made_up_queries(labels, 20, random)
    for vectors in (labels, queries):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    alike = labels @ labels.T - 2 * np.eye(300)
    assert 0.05 < (alike.max(axis=1) > 0.98).mean() < 0.5
    assert 0.5 < np.median((queries @ labels.T).max(axis=1)) < 0.95


def test_kinds_that_were_measured_are_not_measured_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.million_labels.BATCHES", (1, 8))
    monkeypatch.setattr("benchmarks.million_labels.SECONDS", 0.01)
    out = tmp_path / "out.json"
    words = [
        "--room",
        str(tmp_path),
        "--out",
        str(out),
        "--count",
        "200",
        "--dimension",
        "8",
        "--threads",
        "1",
    ]
    main([*words, "--kinds", "flat"])
    first = json.loads(out.read_text())["flat"]
    assert first["settings"][0]["recall@10"] == 1.0 and first["build_s"] >= 0
    main([*words, "--kinds", "flat", "exact int8"])
    assert json.loads(out.read_text())["flat"] == first
    assert capsys.readouterr().out.count("| exact int8 | all labels |") == 1
