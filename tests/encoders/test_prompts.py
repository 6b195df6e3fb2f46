"""Prompts before texts, and poolings that read them or not, on either side of the padding."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fixtures.libraries import sbert
from tests.fixtures.tiny_models import save_decoder
from xmc.encoders import DualEncoder, EncoderConfig
from xmc.errors import ConfigError

PROMPTS = {"query_prompt": "the bird of ", "label_prompt": "a stone and "}


def build(folder: Path, **options: Any) -> DualEncoder:
    settings = {"kind": "transformer", "query_length": 16, "label_length": 12, **options}
    return DualEncoder.build(EncoderConfig(str(folder), **settings)).eval()


@pytest.fixture(scope="module")
def decoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny transformer of relative positions."""
    return save_decoder(tmp_path_factory.mktemp("decoder"))


@pytest.mark.parametrize("include", [True, False])
def test_prompts_are_in_the_folder_as_the_library_reads_them(
    include: bool, bert_folder: Path, tmp_path: Path, texts: list[str]
) -> None:
    encoder = build(bert_folder, **PROMPTS, include_prompt=include)
    encoder.save(tmp_path / "m")
    written = json.loads((tmp_path / "m" / "config_sentence_transformers.json").read_text())
    assert written["prompts"] == {"query": "the bird of ", "document": "a stone and "}
    plain = sbert.SentenceTransformer(str(tmp_path / "m"), device="cpu")
    loaded = DualEncoder.load(tmp_path / "m", device="cpu")
    for made, expected in (
        (encoder.encode_queries(texts), plain.encode_query(texts)),
        (encoder.encode_labels(texts), plain.encode_document(texts)),
        (loaded.encode_queries(texts), plain.encode_query(texts)),
    ):
        np.testing.assert_allclose(made, expected, atol=1e-6)
    assert loaded.fingerprint == encoder.fingerprint
    other = build(bert_folder, **PROMPTS, include_prompt=not include)
    assert other.fingerprint != encoder.fingerprint
    assert not np.allclose(other.encode_queries(texts), encoder.encode_queries(texts), atol=1e-4)


def test_a_prompt_is_of_the_length_and_can_be_taken_away(
    bert_folder: Path, static_folder: Path, tmp_path: Path
) -> None:
    encoder = build(bert_folder, **PROMPTS, query_length=6)
    # [CLS] the bird of house [SEP]
    assert [len(row) for row in encoder.query_tower.tokenize(["house tree river"])] == [6]
    assert (encoder.query_tower.prompt_tokens, encoder.label_tower.prompt_tokens) == (4, 4)
    encoder.save(tmp_path / "m")
    kept = build(tmp_path / "m", query_length=6, label_prompt="")
    assert (kept.query_tower.prompt, kept.label_tower.prompt) == ("the bird of ", "")
    static = build(static_folder, kind="static", **PROMPTS)
    assert static.label_tower.prompt_tokens == 3
    bare = build(static_folder, kind="static")
    both = [static.encode_queries("red tree"), bare.encode_queries("the bird of red tree")]
    np.testing.assert_allclose(*both, atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken"])
def test_a_text_has_one_vector_whatever_it_is_padded_to(pooling: str, decoder_folder: Path) -> None:
    texts = ["red tree", "the big blue house of the night", "a song", "bird and stone and river"]
    for include in (True, False):
        encoder = build(decoder_folder, **PROMPTS, pooling=pooling, include_prompt=include)
        alone = np.stack([encoder.encode_queries(text) for text in texts])
        for side in ("left", "right"):
            encoder.model[0].tokenizer.padding_side = side
            again = DualEncoder(encoder.model)
            np.testing.assert_allclose(again.encode_queries(texts), alone, atol=1e-5)
            np.testing.assert_allclose(encoder.model.encode_query(texts), alone, atol=1e-5)


def test_the_token_is_the_one_that_the_pooling_names(decoder_folder: Path) -> None:
    import torch

    texts = ["red tree", "the big blue house of the night"]
    found = {
        (pooling, include): build(
            decoder_folder, query_prompt="a bird ", pooling=pooling, include_prompt=include, normalize=False
        ).encode_queries(texts)
        for pooling, include in itertools.product(("cls", "lasttoken"), (True, False))
    }
    tower = build(decoder_folder, query_prompt="a bird ").query_tower
    transformer: Any = tower.modules[0]
    for place, row in enumerate(tower.tokenize(texts)):
        with torch.no_grad():
            hidden = transformer.model(torch.tensor([row])).last_hidden_state[0].numpy()
        for (pooling, include), vectors in found.items():
            position = -1 if pooling == "lasttoken" else 0 if include else 2
            np.testing.assert_allclose(vectors[place], hidden[position], atol=1e-5)


def test_what_leaves_no_room_or_makes_no_sense_is_refused(bert_folder: Path, static_folder: Path) -> None:
    long = {"query_prompt": "the bird of the big blue tree "}
    with pytest.raises(
        ConfigError, match="query_length: .* tokens of query_prompt .*got 8, which leaves no room"
    ):
        build(bert_folder, **long, query_length=8)
    build(bert_folder, **long, query_length=10)
    with pytest.raises(ConfigError, match="label_length"):
        build(static_folder, kind="static", label_prompt="the bird", label_length=2)
    with pytest.raises(ConfigError, match="include_prompt only with a transformer"):
        EncoderConfig(str(static_folder), kind="static", include_prompt=False)
    with pytest.raises(ConfigError, match="include_prompt: expected null"):
        build(static_folder, kind="auto", include_prompt=False)
