from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.fixtures.libraries import sbert
from xmc.encoders import DualEncoder, EncoderConfig
from xmc.encoders.adapters import has_adapters, merged, num_adapter_parameters
from xmc.encoders.lora_config import LoraConfig
from xmc.errors import ConfigError

pytest.importorskip("peft")


def build(folder: Path, lora: LoraConfig | None = None, **options: Any) -> DualEncoder:
    lora = lora or LoraConfig(rank=2, alpha=4)
    settings = {"kind": "transformer", "query_length": 8, "label_length": 8, **options}
    return DualEncoder.build(EncoderConfig(str(folder), lora=lora, **settings))


def moved(encoder: DualEncoder) -> DualEncoder:
    """With adapters as after training."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in encoder.parameters():
            if parameter.requires_grad:
                parameter += 0.3 * torch.randn_like(parameter)
    return encoder


def snapshot(encoder: DualEncoder) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in encoder.module.state_dict().items()}


@pytest.mark.parametrize("tied", [True, False])
def test_a_saved_model_is_an_ordinary_one_and_the_running_one_is_untouched(
    tied: bool, bert_folder: Path, tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = moved(build(bert_folder, tied=tied))
    before, vectors = snapshot(encoder), (encoder.encode_queries(texts), encoder.encode_labels(texts))
    named = encoder.fingerprint
    encoder.save(tmp_path / "m")
    after = snapshot(encoder)
    assert list(after) == list(before) and all(torch.equal(after[name], before[name]) for name in before)
    assert has_adapters(encoder.module) and not list((tmp_path / "m").rglob("adapter*"))
    monkeypatch.setitem(sys.modules, "peft", None)  # as where it is not installed
    loaded = DualEncoder.load(tmp_path / "m", device="cpu")
    assert loaded.fingerprint == named and loaded.tied == tied
    assert not any("lora" in name for name in loaded.module.state_dict())
    plain = sbert.SentenceTransformer(str(tmp_path / "m"), device="cpu")
    for mine, theirs, old in zip(
        (loaded.encode_queries(texts), loaded.encode_labels(texts)),
        (plain.encode_query(texts), plain.encode_document(texts)),
        vectors,
        strict=True,
    ):
        np.testing.assert_allclose(mine, old, atol=1e-5)
        np.testing.assert_allclose(theirs, old, atol=1e-5)
    assert np.allclose(*vectors, atol=1e-4) == tied


def test_fresh_adapters_change_nothing(bert_folder: Path, texts: list[str]) -> None:
    plain, adapted = build(bert_folder, LoraConfig()), build(bert_folder)
    assert adapted.fingerprint == plain.fingerprint
    np.testing.assert_array_equal(adapted.encode_queries(texts), plain.encode_queries(texts))


def test_separate_towers_start_alike_and_share_what_is_frozen(bert_folder: Path, texts: list[str]) -> None:
    encoder = build(bert_folder, tied=False)
    query, label = ({id(p): p for m in t.modules for p in m.parameters()} for t in encoder.towers)
    assert all(not query[key].requires_grad for key in query.keys() & label.keys())
    assert all(p.requires_grad for key, p in {**query, **label}.items() if (key in query) != (key in label))
    pairs = zip(query.values(), label.values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_layers_are_those_that_are_asked_for(bert_folder: Path) -> None:
    # A [2, 16] and B [16, 2] in each of two layers.
    one = build(bert_folder, LoraConfig(rank=2, target_modules=["query"]))
    assert num_adapter_parameters(one.module) == 2 * 64
    exact = "encoder.layer.1.attention.self.value"
    assert num_adapter_parameters(build(bert_folder, LoraConfig(2, target_modules=[exact])).module) == 64
    # Four of 16 x 16 and two of 16 x 32 in each of two layers, and not the pooler.
    assert num_adapter_parameters(build(bert_folder).module) == 2 * 2 * (4 * 32 + 2 * 48)


def test_a_failure_while_merged_puts_everything_back(bert_folder: Path) -> None:
    encoder = moved(build(bert_folder))
    before = snapshot(encoder)
    with pytest.raises(RuntimeError, match="in between"), merged(encoder.module):
        assert not has_adapters(encoder.module)
        raise RuntimeError("in between")
    assert all(torch.equal(tensor, before[name]) for name, tensor in snapshot(encoder).items())


def test_what_cannot_have_adapters_says_why(
    bert_folder: Path, static_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match='rank: expected 0 with kind "static"'):
        EncoderConfig(str(static_folder), kind="static", lora=LoraConfig(4))
    with pytest.raises(ConfigError, match="rank: expected 0, as .* becomes a static model"):
        build(static_folder, kind="auto")
    with pytest.raises(ConfigError, match=r"linear layers .*\(dense, key, query, value, .*got 'qkv'"):
        build(bert_folder, LoraConfig(2, target_modules=["query", "qkv"]))
    for wrong, said in (
        ({"rank": -1}, "lora.rank"),
        ({"alpha": 0.0}, "lora.alpha"),
        ({"alpha": float("nan")}, "lora.alpha"),
        ({"dropout": 1.0}, "lora.dropout"),
        ({"target_modules": []}, "lora.target_modules"),
        ({"target_modules": "query"}, "lora.target_modules"),
    ):
        with pytest.raises(ConfigError, match=said):
            LoraConfig(**wrong)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r"expected the package peft: pip install .*\[lora\]"):
        build(bert_folder)
