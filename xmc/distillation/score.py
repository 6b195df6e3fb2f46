"""Asks teachers about all queries of a split, a block at a time, and writes what they say on average."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.data import Dataset
from xmc.distillation.average import average, candidates_of
from xmc.distillation.file import TeacherFacts, TeacherFile, write_teachers
from xmc.distillation.teachers import Teacher
from xmc.errors import ConfigError
from xmc.evaluation.predictions import write_predictions
from xmc.progress import Bar
from xmc.random_streams import Stream, generator

__all__ = ["averaged_blocks", "predict_ensemble", "score_teachers"]

_BLOCK_ROWS = 1024


def score_teachers(
    dataset: Dataset,
    teachers: Sequence[Teacher],
    path: str | Path,
    *,
    top: int = 16,
    sampled: int = 4,
    temperature: float = 1.0,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
) -> TeacherFile:
    """Write the teachers' mean probabilities for every training query; a file of the same is left as it is.

    A query's candidates are the ``top`` labels of each teacher, its positives and ``sampled`` labels drawn
    uniformly. A block of queries is in memory at a time.

    Args:
        dataset: Whose training queries.
        teachers: Opened for its split "train"; those with a temperature were given this one.
        path: The file, by custom ``*.parquet``.
        top: R.
        sampled: Labels drawn for each query.
        temperature: Recorded; the teachers have applied it.
        seed: Of the draw.
        overwrite: Whether a file of other teachers may be replaced.
        progress: Show a bar on stderr.

    Raises:
        ConfigError: When no teacher proposes labels, numbers are out of range, or another file is there.
        DataError: When what is there is no file of teachers.
    """
    if top < 1 or sampled < 0:
        raise ConfigError(f"expected top of 1 or more and sampled of 0 or more, got {top} and {sampled}")
    facts = TeacherFacts(
        dataset.name, dataset.fingerprint, dataset.num_train, dataset.num_labels,
        tuple(teacher.name for teacher in teachers), tuple(teacher.fingerprint for teacher in teachers),
        top, sampled, float(temperature), seed,
    )  # fmt: skip
    if Path(path).exists() and not overwrite:
        found = TeacherFile.open(path)
        if found.facts.fingerprint == facts.fingerprint:
            return found
        raise ConfigError(
            f"{path}: expected no file, or that of these teachers, candidates and data set, got another: "
            "name another file, or overwrite it (--overwrite, in Python overwrite=True)"
        )
    with (
        write_teachers(path, facts) as file,
        Bar(dataset.num_train, "teachers", "query", shown=progress) as bar,
    ):
        for block in averaged_blocks(dataset, "train", teachers, top=top, sampled=sampled, seed=seed):
            file.add(block)
            bar.update(block.shape[0])
    return TeacherFile.open(path)


def averaged_blocks(
    dataset: Dataset,
    split: Literal["train", "test"],
    teachers: Sequence[Teacher],
    *,
    top: int,
    sampled: int = 0,
    seed: int = 0,
) -> Iterator[sp.csr_matrix]:
    """The teachers' mean probabilities, 1,024 queries at a time: CSR float32 [n, L].

    Positives are candidates of training queries alone. Filtered pairs that are no positives are none.
    """
    relevance, filtered, num_labels = dataset.relevance(split), dataset.filter(split), dataset.num_labels
    for start in range(0, relevance.shape[0], _BLOCK_ROWS):
        rows = slice(start, min(start + _BLOCK_ROWS, relevance.shape[0]))
        positives = relevance[rows] if split == "train" else None
        excluded = None if filtered is None else _without(filtered[rows], positives)
        asked = [teacher.ask(rows, excluded) for teacher in teachers]
        proposed = [ids for one in asked if (ids := one.proposed(top)) is not None]
        if not proposed:
            raise ConfigError(
                "expected a teacher that ranks all labels, to propose candidates, got cross-encoders alone: "
                "add a run, a model or a file of predictions"
            )
        if sampled:
            draw = generator(seed, Stream.TEACHER_CANDIDATES, start // _BLOCK_ROWS)
            proposed.append(draw.integers(num_labels, size=(rows.stop - start, sampled)))
        owners, labels = candidates_of(proposed, positives, excluded, num_labels)
        said = [one.says(owners, labels) for one in asked]
        yield _as_rows(
            average(said, owners, rows.stop - start), owners, labels, (rows.stop - start, num_labels)
        )


def predict_ensemble(
    dataset: Dataset,
    teachers: Sequence[Teacher],
    path: str | Path,
    *,
    split: Literal["train", "test"] = "test",
    top: int = 100,
) -> None:
    """Write the ranking of a split's labels by the teachers' mean probability, as `xmc score` reads it.

    Args:
        dataset: Whose queries.
        teachers: Opened for that split.
        path: The npz file.
        split: "train" or "test".
        top: Labels of each query; each teacher proposes as many.
    """
    with write_predictions(path) as file:
        for block in averaged_blocks(dataset, split, teachers, top=top):
            file.add(*_ranked(block, top))


def _ranked(block: sp.csr_matrix, top: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The ``top`` of each row: ids and probabilities [n, top]; -1 and 0 behind a row's last."""
    owners = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
    order = np.lexsort((block.indices, -block.data, owners))
    ranks = np.arange(len(order)) - block.indptr[owners]
    kept = ranks < top
    ids = np.full((block.shape[0], top), -1, dtype=np.int64)
    scores = np.zeros((block.shape[0], top), dtype=np.float32)
    ids[owners[kept], ranks[kept]] = block.indices[order][kept]
    scores[owners[kept], ranks[kept]] = block.data[order][kept]
    return ids, scores


def _as_rows(
    probabilities: NDArray[np.float64],
    owners: NDArray[np.int64],
    labels: NDArray[np.int64],
    shape: tuple[int, int],
) -> sp.csr_matrix:
    """CSR float32 of the pairs that have a probability; a query that no teacher speaks of is an empty row."""
    kept = probabilities > 0
    starts = np.append(0, np.cumsum(np.bincount(owners[kept], minlength=shape[0])))
    return sp.csr_matrix((probabilities[kept].astype(np.float32), labels[kept], starts), shape=shape)


def _without(filtered: sp.csr_matrix, positives: sp.csr_matrix | None) -> sp.csr_matrix:
    """The filtered pairs that are no positives, which training takes as positives."""
    pairs = sp.csr_matrix(filtered.astype(bool))
    return pairs if positives is None else sp.csr_matrix(pairs > pairs.multiply(positives.astype(bool)))
