"""The tokens of training queries and labels, made once per tokenizer and kept in the data set's folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xmc.data import Dataset, TokenStore
from xmc.encoders import DualEncoder, Tower
from xmc.files import fingerprint
from xmc.training.config import DataConfig

__all__ = ["TrainingTexts", "label_query_tokens", "label_tokens", "query_tokens", "truncated_note"]

CHUNK = 16_384


@dataclass(frozen=True)
class TrainingTexts:
    """All training queries, then all labels, read a chunk at a time; never those of the test set."""

    dataset: Dataset
    config: DataConfig

    def __iter__(self) -> Iterator[str]:
        """The texts in order."""
        for texts in (
            self.dataset.texts("train", self.config.query_fields),
            self.dataset.texts("labels", self.config.label_fields),
        ):
            for start in range(0, len(texts), CHUNK):
                yield from texts[start : start + CHUNK]


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


def label_query_tokens(
    dataset: Dataset, encoder: DualEncoder, fields: Sequence[str] | None, progress: bool
) -> TokenStore:
    """Tokens of the labels [L] as the query tower reads them."""
    return _tokens(dataset, "labels", encoder.query_tower, fields, progress)


def truncated_note(tokens: TokenStore, name: str, max_length: int | None, option: str) -> str | None:
    """A line on how many texts fill the length that is read, or None when none does."""
    if not tokens.num_truncated or max_length is None:
        return None
    return (
        f"{tokens.num_truncated:,} of {len(tokens):,} {name} fill the {max_length:,} tokens that are read "
        f"({option}); what goes beyond is left out"
    )


def _tokens(
    dataset: Dataset, table: str, tower: Tower, fields: Sequence[str] | None, progress: bool
) -> TokenStore:
    texts = dataset.texts(table, fields)
    return TokenStore.open_or_build(
        dataset.path / "tokens",
        texts,
        tower.tokenize,
        fingerprint=fingerprint(tower.fingerprint, texts.fingerprint),
        max_length=tower.max_length,
        description=f"tokens of {table}",
        progress=progress,
    )
