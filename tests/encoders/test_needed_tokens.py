"""A tokenizer of a few entries gives a text the tokens that the whole one does, or there is none."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel, WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from xmc.encoders.needed_tokens import NeededTokens

ENTRIES = [
    *(
        "[PAD]",
        "[UNK]",
        "paper",
        "industry",
        "in",
        "##dustry",
        "##d",
        "p",
        "##a",
        "##p",
        "##er",
        "cafe",
        "ss",
    ),
    *(
        "日",
        "本",
        "e",
        "-",
        "mail",
        "##s",
        "i",
        "##ing",
        "!",
        "#",
        "a",
        "b",
        "##b",
        "x",
        "##x",
        "strasse",
        "3",
    ),
]


def whole(**given: Any) -> Tokenizer:
    vocabulary = {entry: 2 * place for place, entry in enumerate(ENTRIES)}
    made = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=20))
    made.normalizer, made.pre_tokenizer = BertNormalizer(**given), BertPreTokenizer()
    made.add_special_tokens(["[PAD]", "[UNK]"])
    made.enable_truncation(6)
    made.enable_padding()
    return made


def read(made: Tokenizer, folder: Path) -> NeededTokens | None:
    made.save(str(folder / "tokenizer.json"))
    return NeededTokens.read(folder / "tokenizer.json")


TEXTS = [
    *("paper industry", "Papers, INDUSTRY!", "in-dustry e-mails", "café Straße ﬁ", "日本 paper日本", ""),
    *("a\u0301b\u0300c \x1c\x1d tab\tnew\nline\u00a0b", "x" * 19, "x" * 21, "x" * 150, "😀 [unk] ##ing # #"),
    *(
        "\x00\ufffd\u200b",
        "a b a b a b a b a b",
        " paper  ",
        "I İ ß ẞ",
        "xxxbbb xb bx abab",
        "33 3",
        "p\u0301aper",
    ),
]


@pytest.mark.parametrize("given", [{}, {"lowercase": False}, {"clean_text": False}, {"strip_accents": True}])
def test_tokens_are_those_of_all_entries(tmp_path: Path, given: dict[str, bool]) -> None:
    made = whole(**given)
    needed = read(made, tmp_path)
    made.no_padding()
    assert needed is not None and needed.max_length == 6
    draw = random.Random(0)
    letters = "abpeinx3 -#!\u0301日本\tßİ\u200b\x1c"
    texts = TEXTS + ["".join(draw.choices(letters, k=30)) for _ in range(200)]
    for text in texts:
        few = needed.tokenizer([text])
        assert few is not None and few.get_vocab_size() <= made.get_vocab_size()
        one, other = few.encode(text), made.encode(text)
        assert one.ids == other.ids and bool(one.overflowing) == bool(other.overflowing), text
    assert needed.whole().encode_batch(texts[:9])[0].ids == made.encode(texts[0]).ids


def test_texts_that_may_need_more_have_none(tmp_path: Path) -> None:
    needed = read(whole(), tmp_path)
    assert needed is not None
    for text in ("paper [UNK] industry", "x" * 201, "x " * 6000):
        assert needed.tokenizer([text]) is None


def test_other_tokenizers_are_left_alone(tmp_path: Path) -> None:
    made = whole()
    made.add_tokens(["more"])  # its id is by the size of the vocabulary
    assert read(made, tmp_path) is None
    made = whole()
    made.add_tokens([AddedToken("paper", normalized=True)])
    assert read(made, tmp_path) is None
    for part in ("normalizer", "pre_tokenizer", "model", "added_tokens"):
        made = whole()
        made.save(str(tmp_path / "tokenizer.json"))
        content = json.loads((tmp_path / "tokenizer.json").read_text())
        content[part] = None
        (tmp_path / "tokenizer.json").write_text(json.dumps(content))
        assert NeededTokens.read(tmp_path / "tokenizer.json") is None
    assert read(Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]")), tmp_path) is None
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError):
        NeededTokens.read(tmp_path / "tokenizer.json")
