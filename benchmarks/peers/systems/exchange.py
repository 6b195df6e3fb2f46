"""What every system is given and leaves: texts and relevance in, lists of labels and a report out.

The scripts beside this one run in environments of their own, so that nothing here imports `xmc`, and numpy
and scipy are all that is needed.

Given: a folder with ``facts.json`` (name, path, depth, numbers), ``train.jsonl``, ``test.jsonl`` and
``labels.jsonl`` (a text a line), ``train.npz`` (relevance of the training rows, CSR [N, L]), and, where the
data set has filter pairs, ``filter_train.npz`` and ``filter_test.npz``. The test rows' labels are not in it.

Left: ``predictions.npz`` (ids int32 and scores float32 [M, depth], best first, -1 at the end) and
``report.json``. Training is from texts in memory to a system that can be asked: features, and the labels'
own vectors, belong to it. Prediction is from the test texts in memory to the lists. Imports are in neither.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

__all__ = ["Task", "dense_lists", "lists_of_pairs", "lists_of_rows", "parser"]


class Task:
    """One system on one data set."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.material, self.out = given.material, given.out
        self.seed, self.threads = given.seed, given.threads
        self.facts: dict[str, Any] = json.loads((self.material / "facts.json").read_text(encoding="utf-8"))
        self.depth: int = self.facts["depth"]
        self.model = self.out / "model"
        """Where the system keeps what it needs to answer: its size is what is reported."""
        self._seconds: dict[str, float] = {}

    def texts(self, table: str) -> list[str]:
        """Of "train", "test" or "labels"."""
        with open(self.material / f"{table}.jsonl", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    def relevance(self) -> sp.csr_matrix:
        """Of the training rows, float32 [N, L]."""
        return sp.csr_matrix(sp.load_npz(self.material / "train.npz"))

    @contextmanager
    def training(self) -> Iterator[None]:
        """Counts the time inside."""
        with self._counted("train"):
            yield

    @contextmanager
    def predicting(self) -> Iterator[None]:
        """Counts the time inside."""
        with self._counted("predict"):
            yield

    @contextmanager
    def _counted(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._seconds[stage] = self._seconds.get(stage, 0.0) + time.perf_counter() - started

    def finish(self, ids: np.ndarray, scores: np.ndarray, packages: Sequence[str], **more: Any) -> None:
        """Write the lists, then the report: packages with their versions, and what else is worth saying."""
        np.savez_compressed(
            self.out / "predictions.npz", ids=ids.astype(np.int32), scores=scores.astype(np.float32)
        )
        files = [file for file in self.model.rglob("*") if file.is_file()] if self.model.is_dir() else []
        report = {
            "train_seconds": self._seconds["train"],
            "predict_seconds": self._seconds["predict"],
            "model_bytes": sum(file.stat().st_size for file in files),
            "versions": {name: importlib.metadata.version(name) for name in packages},
            "python": platform.python_version(),
            **more,
        }
        (self.out / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every script takes."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--material", type=Path, required=True)
    made.add_argument("--out", type=Path, required=True)
    made.add_argument("--seed", type=int, required=True)
    made.add_argument("--threads", type=int, required=True)
    return made


def lists_of_pairs(rows: Iterable[Iterable[tuple[int, float]]], depth: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and scores [M, depth] of (label, score) pairs a row: best first, equal scores by label, -1 pads."""
    kept = [sorted(row, key=lambda pair: (-pair[1], pair[0]))[:depth] for row in rows]
    ids = np.full((len(kept), depth), -1, dtype=np.int32)
    scores = np.full((len(kept), depth), -np.inf, dtype=np.float32)
    for place, row in enumerate(kept):
        if row:
            ids[place, : len(row)], scores[place, : len(row)] = zip(*row)  # noqa: B905
    return ids, scores


def lists_of_rows(found: sp.csr_matrix, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """The same of a sparse matrix of scores [M, L], whose stored entries alone are ranked."""
    ids = np.full((found.shape[0], depth), -1, dtype=np.int32)
    scores = np.full((found.shape[0], depth), -np.inf, dtype=np.float32)
    for row in range(found.shape[0]):
        part = slice(found.indptr[row], found.indptr[row + 1])
        ids[row], scores[row] = _best(found.indices[part], found.data[part], depth)
    return ids, scores


def dense_lists(scores: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """The same of a dense matrix of scores [m, L]."""
    labels = np.arange(scores.shape[1])
    found = [_best(labels, row, depth) for row in scores]
    return np.stack([ids for ids, _ in found]), np.stack([best for _, best in found])


def _best(labels: np.ndarray, scores: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
    if len(scores) > depth:
        # All that equal the last that is kept compete for its place by their labels.
        least = np.partition(scores, len(scores) - depth)[len(scores) - depth]
        kept = np.flatnonzero(scores >= least)
        labels, scores = labels[kept], scores[kept]
    order = np.lexsort((labels, -scores))[:depth]
    ids = np.full(depth, -1, dtype=np.int32)
    best = np.full(depth, -np.inf, dtype=np.float32)
    ids[: len(order)], best[: len(order)] = labels[order], scores[order]
    return ids, best
