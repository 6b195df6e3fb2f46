"""Encoders by a builder of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.libraries import sbert
from xmc.encoders import DualEncoder, EncoderConfig
from xmc.errors import ConfigError, ModelError, XMCError
from xmc.training import train

BUILDERS = """
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Router
from sentence_transformers.sentence_transformer.modules import Dense, StaticEmbedding
from tokenizers import Tokenizer, models, pre_tokenizers
from xmc import DualEncoder

def bag(texts, dimension=8):
    words = ["[UNK]", *sorted({word for text in texts for word in text.split()})]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return StaticEmbedding(tokenizer, embedding_dim=dimension)

def build(config, texts):
    sides = {"query": [bag(texts), Normalize()], "document": [bag(texts), Normalize()]}
    return SentenceTransformer(modules=[Router(sides, default_route="document")], device="cpu")

def dual(config, texts):
    return DualEncoder(build(config, texts))

def uneven(config, texts):
    sides = {"query": [bag(texts)], "document": [bag(texts), Dense(8, 4)]}
    return SentenceTransformer(modules=[Router(sides, default_route="document")], device="cpu")

def routes(config, texts):
    sides = {"left": [bag(texts)], "document": [bag(texts)]}
    return SentenceTransformer(modules=[Router(sides, default_route="document")], device="cpu")

class Halve(Normalize):
    pass

def own_module(config, texts):
    return SentenceTransformer(modules=[bag(texts), Halve()], device="cpu")

def nothing(config, texts):
    return bag(texts)

def fails(config, texts):
    raise ZeroDivisionError("no texts")

number = 3
"""


@pytest.fixture
def mine(tmp_path: Path) -> str:
    """A file of builders."""
    (tmp_path / "mine.py").write_text(BUILDERS, encoding="utf-8")
    return str(tmp_path / "mine.py")


@pytest.mark.parametrize("builder", ["build", "dual"])
def test_a_run_trains_it_and_its_model_opens_plain(config, changed, mine, builder):
    result = train(changed(config, encoder={"builder": f"{mine}:{builder}", "model": "no such model"}))
    assert result.validation["P@1"] > 40 and result.plugins[0]["name"] == f"{mine}:{builder}"
    plain = sbert.SentenceTransformer(str(result.model_path), device="cpu")
    ours = DualEncoder.load(result.model_path)
    np.testing.assert_allclose(plain.encode_query(["query3"]), ours.encode_queries(["query3"]), atol=1e-6)
    assert plain.encode_document(["label3"]).shape == (1, 8)
    assert f"built by `{mine}:{builder}`" in (result.model_path / "README.md").read_text()


@pytest.mark.parametrize(
    ("builder", "kind", "message"),
    [
        ("bild", ConfigError, "did you mean 'build'"),
        ("number", ConfigError, "to be a function of the EncoderConfig and the training texts, got int"),
        ("fails", ConfigError, r"failed: ZeroDivisionError: no texts, at .*mine\.py:\d+$"),
        (
            "nothing",
            ModelError,
            "expected it to return a SentenceTransformer or an xmc.DualEncoder, got Stat",
        ),
        ("routes", ModelError, r'expected routes "query" and "document", got'),
        ("uneven", ModelError, "components on both routes.* for"),
        ("own_module", ModelError, "its modules Halve are of a file"),
    ],
)
def test_what_cannot_serve_is_refused(mine: str, builder: str, kind: type[XMCError], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        DualEncoder.build(EncoderConfig(builder=f"{mine}:{builder}"), ["a text", "of words"])
    assert builder in str(caught.value)


def test_a_builder_is_named_by_where_it_is() -> None:
    with pytest.raises(ConfigError, match="expected builder as package.module:name"):
        EncoderConfig(builder="mine")


def test_a_given_encoder_is_the_runs(config, changed, mine):
    from xmc.plugins import load_object

    model = load_object(f"{mine}:build")(None, [f"query{i} label{i}" for i in range(40)])
    result = train(changed(config, training={"max_steps": 2}), encoder=model)
    assert DualEncoder.load(result.model_path).dimension == 8
    with pytest.raises(ConfigError, match="encoder.builder: expected null with an encoder that is given"):
        train(changed(config, encoder={"builder": f"{mine}:build"}), encoder=model)
