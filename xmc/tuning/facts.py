"""What a recipe is chosen by: counts of a data set, and how its texts fall into tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xmc.data import Dataset, labelled_rows
from xmc.encoders import DualEncoder, Tower
from xmc.encoders.config import EncoderConfig
from xmc.errors import DataError

__all__ = ["DataFacts", "TextShape", "measure_facts"]

SAMPLE = 5_000
"""Texts of each side that are tokenised to know the rest by."""

LONGEST = 512
"""Tokens of a text that are counted; transformers read no more."""


@dataclass(frozen=True)
class TextShape:
    """How long the texts of one side are, in tokens of the pretrained model, at most 512 counted."""

    median: int
    percentile_95: int
    total: int
    """Tokens of all texts, estimated from the sample."""
    pieces_per_word: float
    """Tokens of a word; 1 where the model knows every word."""


@dataclass(frozen=True)
class DataFacts:
    """Of the training part alone; the test split is not looked at.

    Attributes:
        num_rows: Training rows with a label.
        num_labels: L.
        num_pairs: (row, label) pairs.
        pairs_per_label: Of labels with any.
        head_share: Share of the pairs that the most frequent hundredth of the labels has.
        shared_texts: Share of the labels whose text another label has too.
        both_ways: Share of the pairs that stand the other way round too, of those of a row whose text is that
            of another label and a label whose text is a row's; 0 where less than a tenth of the pairs are
            such, as where rows are read by other fields than labels.
        label_lines: Share of the labels whose texts have several lines, as synonyms are given.
        filter_pairs: Training pairs that evaluation leaves out of the ranking, such as an item with itself.
        queries: Of the rows' texts.
        labels: Of the labels' texts.
    """

    num_rows: int
    num_labels: int
    num_pairs: int
    pairs_per_label: float
    head_share: float
    shared_texts: float
    both_ways: float
    label_lines: float
    filter_pairs: int
    queries: TextShape
    labels: TextShape


def measure_facts(dataset: Dataset, model: str = "embedded") -> DataFacts:
    """Count, and tokenise a sample of the training texts with ``model``'s tokenizer.

    Raises:
        ModelError: When the model cannot be opened.
        DataError: When no training row has a label.
    """
    relevance = dataset.relevance("train")
    rows = labelled_rows(relevance)
    if not len(rows):
        raise DataError(f"{dataset.path}: expected training rows with labels to learn from, got none")
    points = np.sort(relevance.getnnz(axis=0))[::-1]
    head = points[: -(-len(points) // 100)]
    filtered = dataset.filter("train")
    encoder = DualEncoder.build(
        EncoderConfig(model, kind="static", tied=False, query_length=LONGEST, label_length=LONGEST)
    )
    names = _hashes(dataset, "labels")
    with_any = max(1, int((points > 0).sum()))
    return DataFacts(
        num_rows=len(rows),
        num_labels=dataset.num_labels,
        num_pairs=int(relevance.nnz),
        pairs_per_label=float(points.sum()) / with_any,
        head_share=float(head.sum()) / max(1, int(points.sum())),
        shared_texts=_shared(names),
        both_ways=_both_ways(dataset, names),
        label_lines=_in_lines(dataset),
        filter_pairs=0 if filtered is None else int(filtered.nnz),
        queries=_shape(dataset, "train", encoder.query_tower),
        labels=_shape(dataset, "labels", encoder.label_tower),
    )


def _shared(names: np.ndarray) -> float:
    _, counts = np.unique(names, return_counts=True)
    return float(counts[counts > 1].sum()) / max(1, len(names))


def _both_ways(dataset: Dataset, labels: np.ndarray) -> float:
    rows, empty = _hashes(dataset, "train"), hash("")
    # The other way round needs a label of the row's text, and a row of the label's.
    labelled, asking = np.isin(rows, labels) & (rows != empty), np.isin(labels, rows) & (labels != empty)
    if not labelled.any():
        return 0.0
    pairs = dataset.relevance("train").tocoo()
    asked = labelled[pairs.row] & asking[pairs.col]
    starts, ends = rows[pairs.row[asked]], labels[pairs.col[asked]]
    apart = starts != ends  # a text with itself says nothing
    starts, ends = starts[apart], ends[apart]
    if len(starts) < max(1, pairs.nnz / 10):
        return 0.0
    _, numbers = np.unique(np.concatenate([starts, ends]), return_inverse=True)
    first, second = numbers.reshape(2, -1).astype(np.int64)
    size = len(numbers)
    return float(np.isin(second * size + first, first * size + second).mean())


def _hashes(dataset: Dataset, table: str) -> np.ndarray:
    """Of the texts of a table, int64."""
    texts = dataset.texts(table)
    return np.fromiter((hash(text) for text in texts), dtype=np.int64, count=len(texts))


def _in_lines(dataset: Dataset) -> float:
    texts = dataset.texts("labels")
    return sum("\n" in text.strip() for text in texts) / max(1, len(texts))


def _shape(dataset: Dataset, table: str, tower: Tower) -> TextShape:
    texts = dataset.texts(table)
    rows = np.unique(np.linspace(0, len(texts) - 1, min(len(texts), SAMPLE)).astype(np.int64))
    sample = texts[rows]
    lengths = np.array([len(tokens) for tokens in tower.tokenize(sample)] or [0])
    # Of words between spaces; a mark of punctuation is a token of its own with every model.
    short = [text for text, length in zip(sample, lengths, strict=True) if length < LONGEST]
    words = sum(len(text.split()) for text in short)
    pieces = int(lengths[lengths < LONGEST].sum())
    return TextShape(
        median=int(np.median(lengths)),
        percentile_95=int(np.percentile(lengths, 95)),
        total=round(float(lengths.mean()) * len(texts)),
        pieces_per_word=pieces / max(1, words),
    )
