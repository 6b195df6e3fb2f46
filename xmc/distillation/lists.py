"""A teacher that is a file of predictions: what any system ranked highest, and how high."""

from __future__ import annotations

import tempfile
from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.data import Dataset
from xmc.distillation.average import TINY, Said, log_softmax_within
from xmc.errors import ConfigError, DataError
from xmc.evaluation.readers import Target, read_predictions
from xmc.files import fingerprint, sha256_file

__all__ = ["ListTeacher"]

DEPTH = 100
"""Predictions of a query that are looked at."""


class ListTeacher:
    """A file of predictions, in any format that `xmc score` reads: a softmax over what it lists.

    A candidate that a query's list lacks counts as its last, which it would at most have come to; labels that
    are neither listed nor candidates have no probability. Lists are put on disk first, as files name queries
    in any order.
    """

    def __init__(
        self, path: str, dataset: Dataset, split: Literal["train", "test"] = "train", *,
        temperature: float = 1.0, numbers: Literal["scores", "probabilities"] = "scores",
    ) -> None:  # fmt: skip
        """Read the lists.

        Args:
            path: The file, for the queries of ``split``.
            dataset: What it is for.
            split: "train" or "test".
            temperature: What scores, or logs of probabilities, are divided by.
            numbers: "scores", or "probabilities", whose logs are then the scores.

        Raises:
            ConfigError: For another kind of numbers.
            DataError: When the file is no predictions, or has a probability that is none.
        """
        if numbers not in ("scores", "probabilities"):
            raise ConfigError(f"lists: expected 'scores' or 'probabilities', got {numbers!r}")
        self.name, self.temperature = path, temperature
        self.fingerprint = fingerprint("lists", numbers, sha256_file(path))
        target = Target(dataset, split, DEPTH)
        self._folder = tempfile.TemporaryDirectory(prefix="xmc-lists-")
        shape, place = (target.num_rows, DEPTH), self._folder.name
        self.ids = np.memmap(f"{place}/ids", np.int32, "w+", shape=shape)
        self.scores = np.memmap(f"{place}/scores", np.float32, "w+", shape=shape)
        for start in range(0, target.num_rows, 1 << 16):
            self.ids[start : start + (1 << 16)] = -1
        for block in read_predictions(path, target):
            ids, scores = block.ids[:, :DEPTH], block.scores[:, :DEPTH]
            if numbers == "probabilities":
                if ((scores < 0) | (scores > 1))[ids >= 0].any():
                    raise DataError(
                        f"{path}: expected probabilities in [0, 1], got other numbers: they are scores"
                    )
                scores = np.log(np.maximum(scores, TINY))
            self.ids[block.rows, : ids.shape[1]] = ids
            self.scores[block.rows, : ids.shape[1]] = np.where(ids >= 0, scores, 0.0)

    def ask(self, rows: slice, excluded: sp.csr_matrix | None) -> _AskedLists:
        """See :class:`xmc.distillation.teachers.Teacher`."""
        ids, scores = np.array(self.ids[rows]), np.array(self.scores[rows], dtype=np.float64)
        if excluded is not None:
            owners = np.repeat(np.arange(len(ids)), np.diff(excluded.indptr))
            width = np.int64(excluded.shape[1])
            left_out = owners * width + excluded.indices
            ids[np.isin(np.arange(len(ids))[:, None] * width + ids, left_out) & (ids >= 0)] = -1
        return _AskedLists(ids, scores / self.temperature)


class _AskedLists:
    def __init__(self, ids: NDArray[np.int32], scores: NDArray[np.float64]) -> None:
        self.ids, self.scores = ids, scores

    def proposed(self, top: int) -> NDArray[np.integer]:
        # What was left out of a list leaves a gap before its end.
        order = np.argsort(self.ids < 0, axis=1, kind="stable")[:, :top]
        return np.take_along_axis(self.ids, order, axis=1)

    def says(self, owners: NDArray[np.int64], labels: NDArray[np.int64]) -> Said:
        num_rows, width = len(self.ids), 1 << 31
        rows, places = np.nonzero(self.ids >= 0)
        listed = rows * width + self.ids[rows, places]
        scores = self.scores[rows, places]
        last = np.full(num_rows, np.inf)
        np.minimum.at(last, rows, scores)
        speaks = np.isfinite(last)
        asked = owners * width + labels
        # Of every listed label and every candidate once: the listed with their scores, others with the last.
        order = np.argsort(listed)
        at = np.minimum(np.searchsorted(listed[order], asked), max(len(listed) - 1, 0))
        known = listed[order][at] == asked if len(listed) else np.zeros(len(asked), dtype=bool)
        told = np.where(speaks, last, 0.0)[owners]
        told[known] = scores[order][at[known]]
        beside = ~np.isin(listed, asked)
        everything = np.append(told, scores[beside])
        log_probabilities = log_softmax_within(everything, np.append(owners, rows[beside]), num_rows)
        rest = np.bincount(rows[beside], np.exp(log_probabilities[len(asked) :]), minlength=num_rows)
        return Said(log_probabilities[: len(asked)], rest.astype(np.float64), speaks)
