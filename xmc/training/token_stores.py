"""The tokens of a data set's training queries and labels, made once a tokenizer and kept in the data set's
folder."""

from __future__ import annotations

from collections.abc import Sequence

from xmc.data import Dataset, TokenStore
from xmc.encoders import DualEncoder, Tower
from xmc.files import fingerprint

__all__ = ["label_tokens", "query_tokens"]


def query_tokens(
    dataset: Dataset, encoder: DualEncoder, fields: Sequence[str] | None, progress: bool
) -> TokenStore:
    """Tokens of the training queries [N]."""
    return _tokens(dataset, "train", encoder.query_tower, fields, progress)


def label_tokens(
    dataset: Dataset, encoder: DualEncoder, fields: Sequence[str] | None, progress: bool
) -> TokenStore:
    """Tokens of the labels [L]."""
    return _tokens(dataset, "labels", encoder.label_tower, fields, progress)


def _tokens(
    dataset: Dataset, table: str, tower: Tower, fields: Sequence[str] | None, progress: bool
) -> TokenStore:
    texts = dataset.texts(table, fields)  # type: ignore[arg-type]
    return TokenStore.open_or_build(
        dataset.path / "tokens",
        texts,
        tower.tokenize,
        fingerprint=fingerprint(tower.fingerprint, texts.fingerprint),
        max_length=tower.max_length,
        description=f"tokens of {table}",
        progress=progress,
    )
