from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel, WordPiece
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace

from tests.fixtures.libraries import sbert, text_modules
from xmc.encoders import DualEncoder, EncoderConfig, vocabulary
from xmc.encoders.vocabulary import extend_vocabulary, greedy_pieces
from xmc.errors import ConfigError

if TYPE_CHECKING:
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

LETTERS = "kirjastonhl"
VOCABULARY = {
    token: i for i, token in enumerate(["[UNK]", "kirja", *LETTERS, *(f"##{letter}" for letter in LETTERS)])
}
TEXTS = ["Kirjasto kirjastonhoitaja", "kirjasto hola"] * 20


def module() -> StaticEmbedding:
    tokenizer = Tokenizer(WordPiece(VOCABULARY, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = Lowercase(), Whitespace()
    torch.manual_seed(0)
    table = torch.randn(len(VOCABULARY), 5)
    table[0] = 0
    return text_modules.StaticEmbedding(tokenizer, embedding_weights=table)


def vector(module: StaticEmbedding, text: str) -> torch.Tensor:
    ids = module.tokenizer.encode(text, add_special_tokens=False).ids
    return torch.nn.functional.normalize(module.embedding.weight[ids].sum(0), dim=0)


def test_a_vocabulary_is_learned_once_for_the_same_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XMC_CACHE", str(tmp_path))
    first = extend_vocabulary(module(), TEXTS, 60)
    (kept,) = (tmp_path / "vocabularies").iterdir()
    learn = vocabulary._learn
    monkeypatch.setattr(vocabulary, "_learn", None)
    again = extend_vocabulary(module(), TEXTS, 60)
    assert again.tokenizer.to_str() == first.tokenizer.to_str()
    assert torch.equal(again.embedding.weight, first.embedding.weight)
    for texts, size in ((TEXTS[1:], 60), (TEXTS, 61)):
        with pytest.raises(TypeError, match="not callable"):
            extend_vocabulary(module(), texts, size)
    monkeypatch.setattr(vocabulary, "_learn", learn)
    for damaged in ("[", "[1]", "7"):
        kept.write_text(damaged)
        assert extend_vocabulary(module(), TEXTS, 60).tokenizer.to_str() == first.tokenizer.to_str()
        assert "it is learned again" in caplog.text and kept.read_text().endswith('"]')
        caplog.clear()


def test_a_cache_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XMC_CACHE", str(tmp_path / "file"))
    assert len(extend_vocabulary(module(), TEXTS, 60).embedding.weight) > len(VOCABULARY)
    assert "could not be kept" in caplog.text


def test_words_of_the_texts_become_tokens() -> None:
    extended = extend_vocabulary(module(), TEXTS, 60)
    assert extended.tokenizer.encode("kirjasto", add_special_tokens=False).tokens == ["kirjasto"]
    assert extended.embedding.weight.shape[0] == extended.tokenizer.get_vocab_size() > len(VOCABULARY)


def test_the_untrained_vectors_stay_what_they_were() -> None:
    before, after = module(), extend_vocabulary(module(), TEXTS, 60)
    for text in ("kirjasto", "hola kirjastonhoitaja", "rokn kirja"):
        torch.testing.assert_close(vector(before, text), vector(after, text))


def test_the_old_tokens_keep_their_ids_and_rows() -> None:
    before, after = module(), extend_vocabulary(module(), TEXTS, 60)
    vocabulary = after.tokenizer.get_vocab()
    assert all(vocabulary[token] == i for token, i in VOCABULARY.items())
    assert torch.equal(after.embedding.weight[: len(VOCABULARY)], before.embedding.weight)


def test_nothing_to_add_adds_nothing() -> None:
    extended = extend_vocabulary(module(), ["kirja"], 60)
    assert extended.embedding.weight.shape == module().embedding.weight.shape


def test_another_kind_of_tokenizer_is_refused() -> None:
    words = text_modules.StaticEmbedding(
        Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]")), embedding_dim=3
    )
    with pytest.raises(ConfigError, match="expected a model with a WordPiece tokenizer, got WordLevel"):
        extend_vocabulary(words, TEXTS, 60)


def test_pieces_are_the_longest_from_the_left() -> None:
    vocabulary = {"##a": 0, "##ab": 1, "##c": 2, "abc": 3, "ab": 4}
    assert greedy_pieces("##abc", vocabulary, "##") == [1, 2]
    assert greedy_pieces("abcc", vocabulary, "##") == [3, 2]
    assert greedy_pieces("abx", vocabulary, "##") == []


def test_a_config_asks_for_it(tmp_path) -> None:
    folder = tmp_path / "model"
    sbert.SentenceTransformer(modules=[module()]).save_pretrained(str(folder))
    for tied in (True, False):
        config = EncoderConfig(str(folder), kind="static", tied=tied, vocabulary=60, label_length=5)
        encoder = DualEncoder.build(config, TEXTS)
        for tower in (encoder.query_tower, encoder.label_tower):
            assert tower.tokenize(["kirjasto"]) == [[tower.modules[0].tokenizer.token_to_id("kirjasto")]]
    with pytest.raises(ConfigError, match="the data set's texts"):
        DualEncoder.build(EncoderConfig(str(folder), kind="static", vocabulary=60))
    with pytest.raises(ConfigError, match='only with kind "static"'):
        EncoderConfig(kind="transformer", vocabulary=60)
