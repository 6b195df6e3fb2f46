from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers.sentence_transformer.modules import StaticEmbedding

from xmc.encoders import DualEncoder, EncoderConfig
from xmc.encoders.build import open_model
from xmc.encoders.static import input_table, rank_weights
from xmc.errors import DependencyError


def test_input_table_is_the_transformers_own(bert_folder: Path) -> None:
    transformer = open_model(bert_folder, "cpu")[0]
    table = transformer.model.get_input_embeddings().weight.detach()
    plain = input_table(transformer, sif=None).embedding.weight
    weighted = input_table(transformer).embedding.weight
    ratio = plain[4:] / table[4:]
    torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio))
    assert not plain[:4].any() and not weighted[:4].any()
    for made in (plain, weighted):
        torch.testing.assert_close(made.norm(dim=1).mean(), table.norm(dim=1).mean())
    share = weighted[4:].norm(dim=1) / table[4:].norm(dim=1)
    assert (share.diff() > 0).all()


def test_rank_weights_against_a_loop() -> None:
    total = sum(1 / (rank + 2) for rank in range(7))
    expected = [0.1 / (0.1 + 1 / (rank + 2) / total) for rank in range(7)]
    np.testing.assert_allclose(rank_weights(7, 0.1).numpy(), expected, rtol=1e-6)


def test_static_from_a_transformer_does_not_touch_it(bert_folder: Path) -> None:
    config = EncoderConfig(str(bert_folder), kind="static", tied=False)
    encoder = DualEncoder.build(config)
    assert isinstance(encoder.query_tower.modules[0], StaticEmbedding) and not encoder.query_tower.padded
    np.testing.assert_array_equal(encoder.encode_queries(["red bird"]), encoder.encode_labels(["red bird"]))


def test_distillation_is_made_once(
    bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def distil(name: str, **settings: object) -> StaticEmbedding:
        calls.append(settings)
        return StaticEmbedding(open_model(Path(name), "cpu")[0].tokenizer, embedding_dim=6)

    monkeypatch.setenv("XMC_CACHE", str(tmp_path))
    monkeypatch.setattr(StaticEmbedding, "from_distillation", distil)
    monkeypatch.setitem(sys.modules, "model2vec", sys)
    monkeypatch.setitem(sys.modules, "model2vec.distill", sys)
    config = EncoderConfig(str(bert_folder), kind="static", static_init="distill")
    first, second = DualEncoder.build(config), DualEncoder.build(config)
    assert len(calls) == 1 and first.dimension == 6
    assert first.fingerprint == second.fingerprint
    assert calls[0]["device"] == "cpu"


def test_distillation_says_what_to_install(
    bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XMC_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "model2vec.distill", None)
    with pytest.raises(DependencyError, match="pip install"):
        DualEncoder.build(EncoderConfig(str(bert_folder), kind="static", static_init="distill"))
