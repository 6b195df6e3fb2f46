"""Token ids of many texts from those of their words, each of which is cut into tokens once.

BERT's normaliser and pre-tokenizer look at one character at a time and split at every space, and WordPiece
cuts what is left word by word. So the tokens of a text are those of its words, one after another. Words come
again and again: to look them up takes a fifth of the time of cutting every text anew.
"""

from __future__ import annotations

import json

from tokenizers import Tokenizer

__all__ = ["WORTH", "WordTokens", "reads_words"]

WORTH = 256
"""Texts from which on it pays: what a server is asked for at once is less, and its words are not kept."""

MOST_WORDS = 1 << 20
"""Words that are kept; with more, all are forgotten and looked up anew."""


def reads_words(tokenizer: Tokenizer) -> bool:
    """Whether a text's tokens are those of its words, without special ones, cut at the end if at all."""
    settings = json.loads(tokenizer.to_str())
    kinds = [(settings[part] or {}).get("type") for part in ("normalizer", "pre_tokenizer", "model")]
    if kinds != ["BertNormalizer", "BertPreTokenizer", "WordPiece"]:
        return False
    cuts = settings["truncation"]
    if cuts and (cuts["direction"] != "Right" or cuts["stride"]):
        return False
    # A token that is found before a text is split may reach over spaces.
    return not any(t["lstrip"] or t["rstrip"] or " " in t["content"] for t in settings["added_tokens"])


class WordTokens:
    """Cuts texts into tokens by their words, for a tokenizer that :func:`reads_words`.

    Args:
        tokenizer: Which is not changed; where it cuts a text is said with the texts.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._known: dict[str, list[int]] = {}

    def ids(self, texts: list[str], max_length: int | None) -> tuple[list[list[int]], int]:
        """Token ids of each text, without special ones, and how many texts were cut to ``max_length``."""
        split = [text.split(" ") for text in texts]
        known = self._looked_up({word for words in split for word in words})
        rows: list[list[int]] = []
        num_cut = 0
        for words in split:
            row: list[int] = []
            for word in words:
                row += known[word]
            if max_length is not None and len(row) > max_length:
                num_cut += 1
                del row[max_length:]
            rows.append(row)
        return rows, num_cut

    def _looked_up(self, words: set[str]) -> dict[str, list[int]]:
        """The ids of these words at least. Several threads may look words up at once."""
        known = self._known
        new = [word for word in words if word not in known]
        if len(known) + len(new) > MOST_WORDS:
            # Another thread goes on with the words that it has.
            self._known = known = {}
            new = list(words)
        if new:
            encodings = self._tokenizer.encode_batch_fast(new, add_special_tokens=False)
            known.update((word, encoding.ids) for word, encoding in zip(new, encodings, strict=True))
        return known
