from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from xmc.encoders import word_tokens
from xmc.encoders.tokenizing import token_ids
from xmc.encoders.word_tokens import WordTokens, reads_words

VOCABULARY = ["[UNK]", "[MASK]", "red", "bird", "##s", "a", "##b", "e", ".", "i", "##\N{COMBINING DOT ABOVE}"]
NORMALIZER = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True}


def bert(**changes: object) -> Tokenizer:
    model = {
        "type": "WordPiece",
        "vocab": {token: i for i, token in enumerate(VOCABULARY)},
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
    }
    mask = {"id": 1, "content": "[MASK]", "single_word": False, "lstrip": False, "rstrip": False}
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{**mask, "normalized": False, "special": True}],
        "normalizer": {**NORMALIZER, "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None,
        "decoder": None,
        "model": model,
    }
    return Tokenizer.from_str(json.dumps(whole | changes))


PIECES = st.sampled_from(["red", "birds", " ", "  ", "\t", "\x1c", "\xa0", "\u2028", "\u3000", "[MASK]", "."])
TEXTS = st.lists(st.lists(PIECES | st.text(max_size=3), max_size=8).map("".join), min_size=2, max_size=4)


@settings(max_examples=50, deadline=None)
@given(texts=TEXTS, max_length=st.sampled_from([None, 1, 3]))
def test_ids_are_those_of_the_tokenizer(texts: list[str], max_length: int | None) -> None:
    tokenizer = bert()
    words = WordTokens(tokenizer)
    if max_length:
        tokenizer.enable_truncation(max_length)
    expected = token_ids(tokenizer, texts, prompt="", max_length=max_length, special=False)
    assert words.ids(texts, max_length) == expected
    assert words.ids(texts, max_length) == expected  # as they are kept now


def test_too_many_words_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_tokens, "MOST_WORDS", 3)
    words = WordTokens(bert())
    assert words.ids(["red bird", "a e"], None)[0] == [[2, 3], [5, 7]]
    assert words.ids(["red birds", "red"], None) == ([[2, 3, 4], [2]], 0)
    assert words.ids([], None) == ([], 0)


def test_tokenizers_that_look_beyond_a_word(static_folder: Path) -> None:
    assert reads_words(bert())
    reaching = {"id": 1, "content": "[MASK]", "single_word": False, "lstrip": True, "rstrip": False}
    assert not reads_words(bert(added_tokens=[{**reaching, "normalized": False, "special": True}]))
    assert not reads_words(bert(pre_tokenizer={"type": "WhitespaceSplit"}))
    assert not reads_words(bert(normalizer=None))
    left = bert()
    left.enable_truncation(4, direction="left")
    assert not reads_words(left)
