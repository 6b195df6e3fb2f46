"""A prepared data set cut to what a stage of ``benchmarks/gpu.py`` has time for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp

from xmc.data import Dataset
from xmc.data.manifest import SPLITS, Split
from xmc.data.writer import DatasetWriter

__all__ = ["cut_data"]

TRAIN_ROWS_PER_TEST_ROW = 10


def cut_data(dataset: Dataset, out: Path, *, labels: int, queries: int) -> Dataset:
    """The labels that are most frequent in training, and the first rows of both splits that have one of them.

    Only what is kept is read, but for the relevance and the files' opening.

    Args:
        dataset: Prepared; it is returned itself where nothing of it is beyond the bounds.
        out: Folder to make otherwise.
        labels: Most labels.
        queries: Most training rows; of test rows a tenth, but 100 where that is less.
    """
    most = {"train": queries, "test": max(100, queries // TRAIN_ROWS_PER_TEST_ROW)}
    sizes = {"train": dataset.num_train, "test": dataset.num_test}
    if dataset.num_labels <= labels and all(sizes[split] <= most[split] for split in SPLITS):
        return dataset
    counts = dataset.relevance("train").getnnz(axis=0)
    kept = np.sort(np.argsort(-counts, kind="stable")[:labels])
    writer = DatasetWriter(
        out,
        name=dataset.name,
        propensity=dataset.propensity,
        sources=[{"labels": len(kept), "of": dataset.num_labels, "from": dataset.fingerprint}],
        query_fields=dataset.manifest.query_fields,
        label_fields=dataset.manifest.label_fields,
    )
    with writer:
        for uid, title, content in _texts(dataset, "labels", kept):
            writer.add_label(uid, title, content)
        for split in SPLITS:
            _copy_rows(dataset, split, writer, kept, most[split])
    return Dataset.load(out)


def _copy_rows(dataset: Dataset, split: Split, writer: DatasetWriter, labels: np.ndarray, most: int) -> None:
    relevance, excluded = dataset.relevance(split), dataset.filter(split)
    chosen = np.zeros(dataset.num_labels, dtype=np.float32)
    chosen[labels] = 1
    rows = np.flatnonzero(relevance @ chosen)[:most]
    pairs = sp.csr_matrix(relevance[rows][:, labels])
    left_out = None if excluded is None else sp.csr_matrix(excluded[rows][:, labels])
    for place, texts in enumerate(_texts(dataset, split, rows)):
        own = slice(pairs.indptr[place], pairs.indptr[place + 1])
        writer.add_row(split, *texts, pairs.indices[own].tolist(), pairs.data[own].tolist())
        if left_out is not None:
            for label in left_out.indices[left_out.indptr[place] : left_out.indptr[place + 1]]:
                writer.add_filter(split, place, int(label))


def _texts(dataset: Dataset, table: str, rows: np.ndarray) -> list[tuple[str, str, str]]:
    """Uid, title and content of some rows of a table."""
    titles, contents = (dataset.texts(table, [field])[rows] for field in ("title", "content"))
    uids = dataset.uids(table)
    return list(zip((uids[int(row)] for row in rows), titles, contents, strict=True))
