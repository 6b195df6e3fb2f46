from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.fixtures.tiny_models import tiny_distilbert
from xmc.encoders import DualEncoder, EncoderConfig, flatten_tokens
from xmc.encoders.frozen_layers import freeze_layers, num_frozen
from xmc.encoders.kept_layers import KeptLayers, open_or_build
from xmc.errors import ConfigError, DataError

ROWS = [[2, 4, 3], [2, 5, 6, 7, 8, 3], [2, 9, 3], [2, 10, 11, 12, 3]]


def build(folder: Path, **options: object) -> DualEncoder:
    config = EncoderConfig(str(folder), kind="transformer", query_length=16, label_length=16, **options)  # type: ignore[arg-type]
    return DualEncoder.build(config).train()


def gradients(encoder: DualEncoder) -> tuple[torch.Tensor, dict[str, torch.Tensor | None]]:
    torch.manual_seed(7)
    out = encoder.query_tower(*flatten_tokens(ROWS))
    (out * torch.randn(out.shape)).sum().backward()
    named = encoder.query_tower.modules[0].model.named_parameters()
    return out.detach(), {name: p.grad for name, p in named}


def test_only_the_upper_layers_learn_and_they_learn_what_they_would(bert_folder: Path) -> None:
    frozen, whole = build(bert_folder, frozen_layers=1), build(bert_folder)
    model = whole.query_tower.modules[0].model
    # The same by hand on an ordinary model.
    for part in (model.embeddings, model.encoder.layer[0]):
        part.requires_grad_(False)
        part.eval()
    (out, found), (expected, by_hand) = gradients(frozen), gradients(whole)
    assert torch.equal(out, expected)
    for name, gradient in found.items():
        below = name.startswith(("embeddings.", "encoder.layer.0."))
        assert (gradient is None) == (below or name.startswith("pooler.")), name
        if gradient is not None:
            assert torch.equal(gradient, by_hand[name]), name  # type: ignore[arg-type]


def test_frozen_layers_have_no_dropout_however_the_mode_is_switched(bert_folder: Path) -> None:
    encoder = build(bert_folder, frozen_layers=1)
    encoder.encode_queries(["the red house"])  # in eval mode, and back
    model = encoder.query_tower.modules[0].model
    assert not any(part.training for part in model.embeddings.modules())
    assert not any(part.training for part in model.encoder.layer[0].modules())
    assert all(part.training for part in model.encoder.layer[1].modules())
    # A copy of the module has the same layers frozen.
    again = DualEncoder(copy.deepcopy(encoder.module)).train()
    assert num_frozen(again.query_tower.modules[0].model) == 1
    assert not again.query_tower.modules[0].model.encoder.layer[0].training


def kept(encoder: DualEncoder, folder: Path, rows: list[list[int]]) -> Path:
    model, tokens = encoder.query_tower.modules[0].model, flatten_tokens(rows)
    path = open_or_build(folder, model, *tokens, description="layers", progress=False)
    encoder.query_tower.kept_layers = KeptLayers(model, [path], [tokens])
    return path


def test_kept_layers_give_what_they_would_up_to_float16(bert_folder: Path, tmp_path: Path) -> None:
    computed, cached = (build(bert_folder, frozen_layers=1) for _ in range(2))
    path = kept(cached, tmp_path, [*ROWS[1:], []])  # the first text is not kept, and is computed
    (out, found), (expected, whole) = gradients(cached), gradients(computed)
    torch.testing.assert_close(out, expected, atol=5e-3, rtol=0)
    assert not torch.equal(out, expected)
    for name, gradient in found.items():
        if gradient is not None:
            torch.testing.assert_close(gradient, whole[name], atol=2e-2, rtol=2e-2)
    # What a user encodes is not rounded.
    texts = ["the red house", "a bird"]
    np.testing.assert_array_equal(cached.encode_queries(texts), computed.encode_queries(texts))

    stamp = (path / "vectors.npy").stat().st_mtime_ns
    assert kept(cached, tmp_path, [*ROWS[1:], []]) == path
    assert (path / "vectors.npy").stat().st_mtime_ns == stamp
    weight = cached.query_tower.modules[0].model.embeddings.LayerNorm.weight
    with torch.no_grad():
        weight += 0.5
    assert kept(cached, tmp_path, [*ROWS[1:], []]) != path


def test_a_distilbert_is_frozen_and_kept_alike(bert_folder: Path, tmp_path: Path) -> None:
    module = build(bert_folder).module
    encoders = []
    for _ in range(2):
        own = copy.deepcopy(module)
        own[0].model = tiny_distilbert()
        encoder = DualEncoder(own).train()
        encoder.query_tower.freeze_layers(1)
        encoders.append(encoder)
    kept(encoders[0], tmp_path, ROWS[1:])  # the first text is computed
    (out, found), (expected, whole) = map(gradients, encoders)
    torch.testing.assert_close(out, expected, atol=5e-3, rtol=0)
    assert not torch.equal(out, expected)
    for name, gradient in found.items():
        assert (gradient is None) == name.startswith(("embeddings.", "transformer.layer.0.")), name
        if gradient is not None:
            torch.testing.assert_close(gradient, whole[name], atol=2e-2, rtol=2e-2)


def test_kept_layers_are_read_and_not_computed(bert_folder: Path, tmp_path: Path) -> None:
    encoder = build(bert_folder, frozen_layers=1)
    kept(encoder, tmp_path, ROWS)
    with torch.no_grad():
        encoder.query_tower.modules[0].model.encoder.layer[0].output.dense.weight.fill_(torch.nan)
    assert torch.isfinite(encoder.query_tower(*flatten_tokens(ROWS))).all()


def test_a_damaged_file_is_named(bert_folder: Path, tmp_path: Path) -> None:
    encoder = build(bert_folder, frozen_layers=2)
    path = kept(encoder, tmp_path, ROWS)
    np.save(path / "vectors.npy", np.zeros((3, 16), dtype=np.float16))
    with pytest.raises(DataError, match=r"expected float16 vectors of shape \(17, 16\).*delete"):
        kept(encoder, tmp_path, ROWS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frozen_layers": -1}, "at least 0"),
        ({"frozen_layers": 1, "kind": "static"}, "only with kind"),
        ({"frozen_cache": True}, "frozen_layers of at least 1"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EncoderConfig(**options)  # type: ignore[arg-type]


def test_models_without_such_layers(bert_folder: Path, static_folder: Path) -> None:
    with pytest.raises(ConfigError, match="at most the model's 2, got 3"):
        build(bert_folder, frozen_layers=3)
    with pytest.raises(ConfigError, match="BERT's, DistilBERT's or RoBERTa's kind"):
        DualEncoder.build(EncoderConfig(str(static_folder), frozen_layers=1))
    model = build(bert_folder).query_tower.modules[0].model
    assert num_frozen(model) == 0
    freeze_layers(model, 2)
    assert num_frozen(model) == 2
