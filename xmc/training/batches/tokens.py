"""The tokens of a data set's training queries and labels, made once for each tokenizer and kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from xmc.counted import agreeing
from xmc.data import Dataset, TokenStore
from xmc.data.label_texts import FlatTexts
from xmc.encoders import DualEncoder, Tower
from xmc.files import fingerprint
from xmc.training.config import DataConfig
from xmc.training.learned.label_texts import LabelTextRows

__all__ = [
    "StackedTokens",
    "TrainingTexts",
    "label_text_rows",
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
    """Tokens of the training queries [N] and of the labels [L], made where they are not on disk yet.

    Of labels of several texts, those of all texts, label by label (:func:`label_text_rows`).
    """
    queries = _tokens(dataset, "train", encoder.query_tower, config.query_fields, progress)
    if config.label_texts == "joint":
        return queries, _tokens(dataset, "labels", encoder.label_tower, config.label_fields, progress)
    texts = dataset.label_texts(config.label_fields, config.label_texts)
    flat = FlatTexts.of(texts)
    return queries, _store(dataset, flat.texts, texts.fingerprint, "labels", encoder.label_tower, progress)


def label_text_rows(dataset: Dataset, config: DataConfig, seed: int) -> LabelTextRows | None:
    """Where the texts of each label are among those of all labels; None where each has one."""
    if config.label_texts == "joint":
        return None
    flat = FlatTexts.of(dataset.label_texts(config.label_fields, config.label_texts))
    return LabelTextRows(flat.bounds, seed, config.label_text_draw == "random")


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
        f"{tokens.num_truncated:,} of {len(tokens):,} {name} "
        f"{agreeing(tokens.num_truncated, 'fills', 'fill')} the {max_length:,} tokens that are read "
        f"({option}); what goes beyond is left out"
    )


def _tokens(
    dataset: Dataset, table: str, tower: Tower, fields: Sequence[str] | None, progress: bool
) -> TokenStore:
    texts = dataset.texts(table, fields)
    return _store(dataset, texts, texts.fingerprint, table, tower, progress)


def _store(
    dataset: Dataset, texts: Sequence[str], source: str, table: str, tower: Tower, progress: bool
) -> TokenStore:
    return TokenStore.open_or_build(
        dataset.path / "tokens",
        texts,
        tower.tokenize,
        fingerprint=fingerprint(tower.fingerprint, source),
        max_length=tower.max_length,
        description=f"tokens of {table}",
        progress=progress,
    )
