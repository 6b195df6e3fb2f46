"""Texts to token ids with a tokenizer alone: cut to a length, and named by what decides the ids."""

from __future__ import annotations

import json
from functools import lru_cache

from tokenizers import Tokenizer

from xmc.errors import ModelError
from xmc.files import fingerprint

__all__ = ["check_ids", "token_ids", "tokens_fingerprint"]


def token_ids(
    tokenizer: Tokenizer, texts: list[str], *, prompt: str, max_length: int | None, special: bool
) -> tuple[list[list[int]], int]:
    """Token ids of each text, as the tokenizer cuts them, and how many of the texts were cut.

    Args:
        tokenizer: Which truncates to ``max_length`` and does not pad.
        texts: N texts.
        prompt: Put before each.
        max_length: Most tokens of a text, special ones included; None for any number.
        special: Whether special tokens are added.
    """
    texts = [prompt + text for text in texts] if prompt else texts
    if len(texts) == 1:
        # In this thread: a batch goes to a pool, whose waking takes longer than a text.
        encodings = [tokenizer.encode(texts[0], add_special_tokens=special)]
    else:
        encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=special)
    rows = [encoding.ids for encoding in encodings]
    # Only a full row can have been cut, and asking an encoding for what was cut off takes time.
    full = [e for e, row in zip(encodings, rows, strict=True) if len(row) == max_length]
    return rows, sum(bool(encoding.overflowing) for encoding in full)


def tokens_fingerprint(tokenizer: Tokenizer, *, prompt: str, max_length: int | None, padded: bool) -> str:
    """Names the way texts become tokens: tokenizer, length, prompt."""
    head, between, rest = tokenizer.to_str().partition(_AFTER_LENGTHS)
    if between:  # how texts are cut and padded, in which towers of one vocabulary may differ, is in the head
        head = json.dumps(json.loads(head + "}") | {"truncation": None, "padding": None})[:-1]
    return fingerprint(_vocabulary(head, between + rest), str(max_length), prompt, str(padded))


_AFTER_LENGTHS = ',"added_tokens":'


@lru_cache(maxsize=4)  # the towers of a model mostly have the same, and its text takes a tenth of a second
def _vocabulary(head: str, rest: str) -> str:
    state = json.loads(head + rest)
    del state["truncation"], state["padding"]  # what they do is in max_length
    return json.dumps(state, sort_keys=True)


def check_ids(tokenizer: Tokenizer, rows: int) -> None:
    """Refuse a tokenizer that gives ids which a table of token vectors does not have.

    Args:
        tokenizer: Of the model.
        rows: V, of its table.

    Raises:
        ModelError: Saying how many it has.
    """
    last = max(tokenizer.get_vocab().values(), default=-1)
    if last >= rows:
        raise ModelError(f"expected token ids below {rows}, the rows of its table, got {last}")
