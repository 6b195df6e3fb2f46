"""The tokens of a data set's training queries and labels, made once for each tokenizer and kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from xmc.data import Dataset, TokenStore
from xmc.encoders import DualEncoder, Tower
from xmc.files import fingerprint
from xmc.training.config import DataConfig

__all__ = [
    "StackedTokens",
    "TrainingTexts",
    "training_tokens",
    "truncated_note",
    "with_label_queries",
]

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


class StackedTokens:
    """The tokens of training queries, then of label texts, as one store of N + L rows."""

    def __init__(self, queries: TokenStore, labels: TokenStore) -> None:
        self.parts = (queries, labels)

    def __len__(self) -> int:
        """N + L."""
        return sum(len(part) for part in self.parts)

    def gather(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Flat ids int32 [t] and offsets int64 [n + 1] of rows; those of the labels come last."""
        first = len(self.parts[0])
        chosen: Sequence[np.ndarray] = (rows[rows < first], rows[rows >= first] - first)
        (ids, offsets), (more, later) = (
            part.gather(rows) for part, rows in zip(self.parts, chosen, strict=True)
        )
        return np.concatenate([ids, more]), np.concatenate([offsets, offsets[-1] + later[1:]])


def training_tokens(
    dataset: Dataset, encoder: DualEncoder, config: DataConfig, progress: bool
) -> tuple[TokenStore, TokenStore]:
    """Tokens of the training queries [N] and of the labels [L], made where they are not on disk yet."""
    queries = _tokens(dataset, "train", encoder.query_tower, config.query_fields, progress)
    return queries, _tokens(dataset, "labels", encoder.label_tower, config.label_fields, progress)


def with_label_queries(
    queries: TokenStore, dataset: Dataset, encoder: DualEncoder, config: DataConfig, progress: bool
) -> StackedTokens:
    """Tokens of the training queries [N], then of the labels [L] as the query tower reads them."""
    labels = _tokens(dataset, "labels", encoder.query_tower, config.label_fields, progress)
    return StackedTokens(queries, labels)


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
