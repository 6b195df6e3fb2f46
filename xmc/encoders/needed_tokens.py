"""A tokenizer of those entries alone of its vocabulary that a text can need: one search has a few words.

WordPiece looks up nothing but pieces of words. To make a tokenizer of all entries of a vocabulary takes a
tenth of a second, during which no other thread runs Python; its file alone is read in less than half of that.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

__all__ = ["NeededTokens"]

_LONGEST_WORD = 200
"""Characters: a word has as many pieces as the square of its length, by half."""
_LONGEST = 10_000
"""Characters of the texts together."""


class NeededTokens:
    """A ``tokenizer.json`` of BERT's kind; :meth:`read` says which that is.

    Args:
        content: Its text, which is kept: another file may be there by the time that all entries are needed.
        settings: What the text says.
    """

    def __init__(self, content: str, settings: dict[str, Any]) -> None:
        self._content, self._settings = content, settings
        self._model: dict[str, Any] = settings["model"]
        self._added: list[str] = [token["content"] for token in settings["added_tokens"]]
        self._always = {*self._added, self._model["unk_token"]}

    @classmethod
    def read(cls, path: Path) -> NeededTokens | None:
        """Of a file; None where texts might need other entries than their pieces.

        Raises:
            OSError, ValueError: When it is no JSON file.
        """
        content = path.read_text(encoding="utf-8")
        settings = json.loads(content)
        try:
            return cls(content, settings) if _is_plain(settings) else None
        except (AttributeError, KeyError, TypeError):
            return None  # tokenizers says what is wrong with it

    @property
    def max_length(self) -> int | None:
        """Tokens that a text is cut to; None for any number."""
        cuts = self._settings["truncation"]
        return int(cuts["max_length"]) if cuts else None

    def whole(self) -> Tokenizer:
        """One of all entries."""
        made = Tokenizer.from_str(self._content)
        made.no_padding()
        return made

    def tokenizer(self, texts: list[str]) -> Tokenizer | None:
        """One that gives these texts the tokens that the whole one does; None where it is not sure to."""
        if sum(map(len, texts)) > _LONGEST or any(token in text for token in self._added for text in texts):
            return None
        normalizer = self._of(self._always).normalizer
        words = {word for text in texts for word in normalizer.normalize_str(text).split(" ")}
        if max(map(len, words), default=0) > _LONGEST_WORD:
            return None
        return self._of(self._always.union(*map(_pieces, words)))

    def _of(self, pieces: set[str]) -> Tokenizer:
        vocabulary, inner = self._model["vocab"], self._model["continuing_subword_prefix"]
        kept = {
            entry: vocabulary[entry]
            for piece in pieces
            for entry in (piece, inner + piece)
            if entry in vocabulary
        }
        made = Tokenizer.from_str(json.dumps({**self._settings, "model": {**self._model, "vocab": kept}}))
        made.no_padding()
        return made


def _is_plain(settings: dict[str, Any]) -> bool:
    kinds = [settings[part]["type"] for part in ("normalizer", "pre_tokenizer", "model")]
    if kinds != ["BertNormalizer", "BertPreTokenizer", "WordPiece"]:
        return False
    vocabulary = settings["model"]["vocab"]
    # An added token that the vocabulary has not gets its id by the size of the vocabulary.
    return settings["model"]["unk_token"] in vocabulary and all(
        vocabulary.get(token["content"]) == token["id"] and not token["normalized"]
        for token in settings["added_tokens"]
    )


def _pieces(word: str) -> set[str]:
    ends = range(1, len(word) + 1)
    return {word[start:end] for end in ends for start in range(end)}
