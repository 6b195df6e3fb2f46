"""TREC's files: queries and labels as ``uid<tab>text`` lines, and qrels ``qid 0 docid relevance``.

The uids are those that run files name, so that trec_eval and
its kin measure a run against the qrels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xmc.data.dataset import Dataset
from xmc.data.export.filters import write_filters
from xmc.data.manifest import SPLITS, Table
from xmc.errors import DataError

__all__ = ["write_trec"]


def write_trec(dataset: Dataset, folder: Path) -> None:
    """Write ``corpus.tsv``, ``train|test.queries.tsv`` and ``train|test.qrels``, and filters.

    Relevance is rounded to a whole number of at least 1, as trec_eval reads no other. White space within a
    text becomes a space.

    Raises:
        DataError: For a uid with white space, an empty one, or one that two rows of a table have.
    """
    labels = _write_texts(dataset, "labels", folder / "corpus.tsv")
    for split in SPLITS:
        queries = _write_texts(dataset, split, folder / f"{split}.queries.tsv")
        relevance = dataset.relevance(split)
        with open(folder / f"{split}.qrels", "w", encoding="utf-8", newline="\n") as file:
            for row, query in enumerate(queries):
                for pair in range(relevance.indptr[row], relevance.indptr[row + 1]):
                    grade = max(round(float(relevance.data[pair])), 1)
                    file.write(f"{query} 0 {labels[relevance.indices[pair]]} {grade}\n")
    write_filters(dataset, folder)


def _write_texts(dataset: Dataset, table: Table, path: Path) -> Sequence[str]:
    uids = dataset.uids(table)[:]
    seen: set[str] = set()
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for row, (uid, text) in enumerate(zip(uids, dataset.texts(table), strict=True)):
            if not uid or uid.split() != [uid] or uid in seen:
                why = "that no other row has" if uid in seen else "without white space"
                raise DataError(
                    f"{dataset.name}, {table} row {row} (0-based): expected a uid {why}, as TREC files name "
                    f"rows by it, got {uid!r:.80}: export to jsonl, or give rows such uids and import again"
                )
            seen.add(uid)
            file.write(f"{uid}\t{' '.join(text.split())}\n")
    return uids
