"""A prepared data set written once more, perhaps with fewer labels, pairs and rows."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from xmc.data.dataset import Dataset
from xmc.data.manifest import Split
from xmc.data.writer import DatasetWriter

__all__ = ["copy_labels", "copy_rows"]


def copy_labels(dataset: Dataset, writer: DatasetWriter, keep: np.ndarray | None = None) -> None:
    """Add labels of ``dataset`` in order: those that ``keep`` [L] says, or all, so that ids stay."""
    titles, contents = (dataset.texts("labels", [field]) for field in ("title", "content"))
    texts = zip(dataset.uids("labels"), titles, contents, strict=True)
    for label, (uid, title, content) in enumerate(texts):
        if keep is None or keep[label]:
            writer.add_label(uid, title, content)


def copy_rows(
    dataset: Dataset,
    split: Split,
    writer: DatasetWriter,
    *,
    relevance: sp.csr_matrix | None = None,
    excluded: sp.csr_matrix | None = None,
    keep: np.ndarray | None = None,
) -> None:
    """Add the rows of a split, with the filter pairs of those that are kept.

    Args:
        dataset: Where they are from.
        split: Which.
        writer: Takes them; it has the labels already.
        relevance: CSR [N, labels of the writer], instead of the data set's own.
        excluded: The filter pairs, of the same shape, instead of the data set's own.
        keep: Which rows to add, [N] bool; all when None.
    """
    relevance = dataset.relevance(split) if relevance is None else relevance
    excluded = dataset.filter(split) if excluded is None else excluded
    titles, contents = (dataset.texts(split, [field]) for field in ("title", "content"))
    for row, (uid, title, content) in enumerate(zip(dataset.uids(split), titles, contents, strict=True)):
        if keep is not None and not keep[row]:
            continue
        pairs = slice(relevance.indptr[row], relevance.indptr[row + 1])
        ids, values = relevance.indices[pairs].tolist(), relevance.data[pairs].tolist()
        place = writer.add_row(split, uid, title, content, ids, values)
        if excluded is not None:
            for label in excluded.indices[excluded.indptr[row] : excluded.indptr[row + 1]]:
                writer.add_filter(split, place, int(label))
