"""Predictions as files that other tools read: JSON Lines, CSV, npz and TREC runs, written as they come."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from xmc.errors import ConfigError, DataError
from xmc.files import atomic_file
from xmc.prediction.predict import Prediction
from xmc.prediction.query import Query
from xmc.retrieval.hit import Hit
from xmc.retrieval.label_index import LabelIndex
from xmc.retrieval.several import RankedLabels

__all__ = ["OUTPUTS", "as_record", "output_format", "record_of", "write_predicted"]

OUTPUTS = {".jsonl": "jsonl", ".csv": "csv", ".npz": "npz", ".trec": "trec", ".run": "trec"}
_TAG = "xmc"

Blocks = Iterable[list[Prediction]]


def output_format(path: str | Path | None) -> str:
    """The format of a file by its ending; JSON Lines for None, standard output.

    Raises:
        ConfigError: For another ending.
    """
    if path is None:
        return "jsonl"
    kind = OUTPUTS.get(Path(path).suffix.lower())
    if kind is None:
        raise ConfigError(f"--out: expected a file that ends in {', '.join(OUTPUTS)}, got {path}")
    return kind


def as_record(prediction: Prediction, index: RankedLabels) -> dict[str, Any]:
    """One query and its labels as ``xmc score`` reads them, with texts and probabilities beside.

    Raises:
        DataError: When the index names a label that it has not.
    """
    record = record_of(prediction.query, index.hits_of(prediction.ids, prediction.scores))
    if prediction.probabilities is not None:
        count = len(record["labels"])
        record["probabilities"] = [_rounded(p) for p in prediction.probabilities[:count].tolist()]
    return record


def record_of(query: Query, hits: Sequence[Hit]) -> dict[str, Any]:
    """One query and its labels, best first, as ``xmc score`` reads them, with texts beside."""
    return {
        "uid": query.uid,
        "query": query.text,
        "labels": [hit.uid for hit in hits],
        "texts": [hit.text for hit in hits],
        "scores": [_rounded(hit.score) for hit in hits],
    }


def write_predicted(path: str | Path | None, blocks: Blocks, index: LabelIndex) -> tuple[int, int]:
    """Write predictions as they come; a file appears whole or not at all.

    ``npz`` holds label ids: rows of the data set whose labels were indexed. Every other format names labels
    by uid.

    Args:
        path: The file, whose ending says the format; None for JSON Lines on standard output.
        blocks: What `predict_blocks` yields.
        index: Whose labels these are.

    Returns:
        Queries, and labels, written.

    Raises:
        ConfigError: For an ending that is none of a format.
        DataError: When a uid cannot stand in a TREC run, as it has a space in it.
        XMCError: When the disk is full.
    """
    kind = output_format(path)
    tally = _Tally()
    if kind == "npz":
        # Evaluation loads torch, for which a search that prints JSON has no time.
        from xmc.evaluation.predictions import write_predictions

        assert path is not None
        with write_predictions(path) as writer:
            for block in tally.over(blocks):
                writer.add(np.stack([p.ids for p in block]), np.stack([p.scores for p in block]))
        return tally.queries, tally.labels
    line_writer = {"jsonl": _jsonl, "csv": _csv, "trec": _trec}[kind]
    with _text_file(path) as file:
        line_writer(file, tally.over(blocks), index)
    return tally.queries, tally.labels


class _Tally:
    """Counts what passes."""

    def __init__(self) -> None:
        self.queries = self.labels = 0

    def over(self, blocks: Blocks) -> Iterator[list[Prediction]]:
        for block in blocks:
            self.queries += len(block)
            self.labels += sum(prediction.count for prediction in block)
            yield block


@contextmanager
def _text_file(path: str | Path | None) -> Iterator[IO[str]]:
    if path is None:
        yield sys.stdout
        return
    with atomic_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        yield file


def _jsonl(file: IO[str], blocks: Blocks, index: LabelIndex) -> None:
    for block in blocks:
        for prediction in block:
            file.write(json.dumps(as_record(prediction, index), ensure_ascii=False) + "\n")


def _csv(file: IO[str], blocks: Blocks, index: LabelIndex) -> None:
    """A line a label: a query without labels has none."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["query_uid", "query", "rank", "label_uid", "label", "score", "probability"])
    for prediction in _each(blocks):
        record = as_record(prediction, index)
        chances: Sequence[Any] = record.get("probabilities", [""] * prediction.count)
        rows = zip(record["labels"], record["texts"], record["scores"], chances, strict=True)
        for rank, (uid, text, score, chance) in enumerate(rows, 1):
            writer.writerow([record["uid"], record["query"], rank, uid, text, score, chance])


def _trec(file: IO[str], blocks: Blocks, index: LabelIndex) -> None:
    known: set[str] = set()
    for prediction in _each(blocks):
        record = as_record(prediction, index)
        query = _word(record["uid"], "query")
        if query in known:
            raise DataError(f"a TREC run names each query once, but {query!r:.80} is the uid of two")
        known.add(query)
        for rank, (uid, score) in enumerate(zip(record["labels"], record["scores"], strict=True), 1):
            file.write(f"{query} Q0 {_word(uid, 'label')} {rank} {score} {_TAG}\n")


def _each(blocks: Blocks) -> Iterator[Prediction]:
    for block in blocks:
        yield from block


def _word(uid: str, what: str) -> str:
    if not uid or len(uid.split()) != 1 or uid != uid.strip():
        raise DataError(
            f"expected {what} uids without spaces in a TREC run, got {uid!r}: write .jsonl or .csv instead"
        )
    return uid


def _rounded(value: float) -> float:
    """Seven digits, which is what float32 has, and equal scores stay equal."""
    return float(f"{value:.7g}")
