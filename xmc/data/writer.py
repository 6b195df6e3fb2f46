"""Writes a prepared data set as a stream: text by text, in bounded memory, whole or not at all."""

from __future__ import annotations

import json
import logging
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import scipy.sparse as sp

from xmc.counted import counted
from xmc.data.manifest import (
    FIELDS,
    SPLITS,
    TABLES,
    UNSEEN_NAME,
    Manifest,
    Split,
    Table,
    check_choice,
    check_place,
    chosen_fields,
)
from xmc.data.propensity import Propensity, known_propensity
from xmc.data.relevance import RelevanceBuilder, fold, matrix_digest, save_matrix
from xmc.data.table_writer import TableWriter
from xmc.errors import DataError
from xmc.files import atomic_folder, fingerprint, sha256_file

__all__ = ["DatasetWriter"]

_log = logging.getLogger(__name__)


class DatasetWriter:
    """Context manager that makes a prepared data set out of labels, rows and filter pairs, in any order.

    Nothing is at ``path`` until the block ends without an error. Held in memory: the label uids, the
    relevance pairs and a hash of each uid (8 bytes each) and a few thousand texts.

    Args:
        path: Folder to make.
        name: Of the data set; it decides the default ``propensity`` (see ``known_propensity``).
        sources: What the data came from, free-form records for ``dataset.json``.
        query_fields, label_fields: Which of title and content make up a text by default; None takes every
            one that holds more than white space in some query (train and test) or label.
        overwrite: Replace the prepared data set at ``path``.

    Raises:
        XMCError: When ``path`` is taken and ``overwrite`` is false, or holds something other than a data set.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        name: str,
        propensity: Propensity | None = None,
        sources: Sequence[Mapping[str, Any]] = (),
        query_fields: str | Sequence[str] | None = None,
        label_fields: str | Sequence[str] | None = None,
        overwrite: bool = False,
    ) -> None:
        queries = None if query_fields is None else chosen_fields("query_fields", query_fields)
        labels = None if label_fields is None else chosen_fields("label_fields", label_fields)
        check_place(path, overwrite=overwrite)
        self.path = Path(path)
        self.name = name
        self.ceiling: dict[str, float] = {}
        """For ``Manifest.ceiling``; to be set before the block ends."""
        self.query_columns: Mapping[str, str] = {}
        """For ``Manifest.query_columns``; to be set before the block ends."""
        self.unseen_labels: Sequence[str] = ()
        """Uids of labels held out of training on purpose; to be set before the block ends."""
        self._propensity = propensity or known_propensity(name)
        self._sources = list(sources)
        self._fields = {"train": queries, "test": queries, "labels": labels}
        self._context: AbstractContextManager[Path] = atomic_folder(self.path, overwrite=overwrite)
        self._label_ids: dict[str, int] = {}
        self._relevance: dict[str, RelevanceBuilder] = {split: RelevanceBuilder() for split in SPLITS}
        self._filters: dict[str, tuple[array[int], array[int]]] = {
            s: (array("q"), array("q")) for s in SPLITS
        }
        self._folded = 0

    def __enter__(self) -> DatasetWriter:
        """Open the files in a folder beside the target."""
        self._folder = self._context.__enter__()
        try:
            self._tables: dict[str, TableWriter] = {
                t: TableWriter(self._folder / f"{t}.parquet", self._fields[t] or FIELDS) for t in TABLES
            }
        except BaseException as failure:
            self._context.__exit__(type(failure), failure, failure.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the data set and put it in its place; after an error nothing is left of it."""
        try:
            for table in self._tables.values():
                table.close(flush=kind is None)
            if kind is None:
                self._finish()
        except BaseException as failure:
            self._context.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._context.__exit__(kind, error, trace)

    @property
    def num_labels(self) -> int:
        """Labels added so far."""
        return len(self._label_ids)

    def num_rows(self, split: str) -> int:
        """Rows of ``split`` added so far."""
        return len(self._relevance[split])

    def label_id(self, uid: str) -> int | None:
        """The id of the label ``uid``, or None when it was not added."""
        return self._label_ids.get(uid)

    def add_label(self, uid: str, title: str, content: str = "") -> int:
        """Append a label and return its id.

        Raises:
            DataError: When the uid was used before.
        """
        if uid in self._label_ids:
            raise DataError(
                f"expected each label uid once, got {uid!r} again, the uid of label {self._label_ids[uid]}"
            )
        self._tables["labels"].add(uid, title, content)
        return self._label_ids.setdefault(uid, len(self._label_ids))

    def add_row(
        self,
        split: str,
        uid: str,
        title: str,
        content: str,
        label_ids: Iterable[int],
        relevance: Sequence[float] | None = None,
    ) -> int:
        """Append a query with its label ids (0-based; repeated ones are folded) and return its row.

        ``relevance`` gives each label a weight above 0 (1 when left out). Labels may be added later.

        Raises:
            DataError: When ids or relevance cannot be right.
        """
        check_choice("split", split, SPLITS)
        given = list(label_ids)
        ids, values = fold(given, relevance)
        self._folded += len(given) - len(ids) if relevance is None else len(given) - len(set(given))
        self._tables[split].add(uid, title, content)
        self._relevance[split].add(ids, values)
        return len(self._relevance[split]) - 1

    def add_filter(self, split: str, row: int, label: int) -> None:
        """Leave the pair (row, label) of ``split`` out of every ranking; checked when the block ends."""
        check_choice("split", split, SPLITS)
        rows, labels = self._filters[split]
        rows.append(row)
        labels.append(label)

    def _finish(self) -> None:
        digests: dict[str, str] = {table: writer.digest for table, writer in self._tables.items()}
        parts = [digests[table] for table in TABLES]
        for split in SPLITS:
            relevance = self._relevance[split].build(self.num_labels, split)
            filters = self._filter(split)
            save_matrix(self._folder / f"{split}.npz", relevance)
            if filters.nnz:
                save_matrix(self._folder / f"filter_{split}.npz", filters)
            parts += [matrix_digest(relevance), matrix_digest(filters)]
            self._warn_unlabelled(split, relevance)
            self._warn_repeated(split)
        self._warn_empty()
        if self.unseen_labels:
            text = json.dumps(list(self.unseen_labels), indent=0, ensure_ascii=False)
            (self._folder / UNSEEN_NAME).write_text(text + "\n", encoding="utf-8")
        files = sorted(self._folder.iterdir())
        Manifest(
            name=self.name,
            num_labels=self.num_labels,
            num_train=self.num_rows("train"),
            num_test=self.num_rows("test"),
            propensity=self._propensity,
            query_fields=self._fields_of("train", "test"),
            label_fields=self._fields_of("labels"),
            fingerprint=fingerprint(*parts),
            text_fingerprints=digests,
            sources=[dict(source) for source in self._sources],
            empty_texts={table: writer.num_empty for table, writer in self._tables.items()},
            folded_duplicates=self._folded,
            files={file.name: {"bytes": file.stat().st_size, "sha256": sha256_file(file)} for file in files},
            ceiling=self.ceiling,
            query_columns=dict(self.query_columns),
        ).write(self._folder)

    def _fields_of(self, *tables: Table) -> tuple[str, ...]:
        """The fields asked for, else those with text in any of the tables; the title where none has any."""
        if (asked := self._fields[tables[0]]) is not None:
            return asked
        filled = set[str]().union(*(self._tables[table].filled for table in tables))
        return tuple(field for field in FIELDS if field in filled) or FIELDS[:1]

    def _filter(self, split: str) -> sp.csr_matrix:
        rows, labels = (np.asarray(values, dtype=np.int64) for values in self._filters[split])
        shape = (self.num_rows(split), self.num_labels)
        for what, values, size in (("row", rows, shape[0]), ("label", labels, shape[1])):
            if values.size and (values.min() < 0 or values.max() >= size):
                bad = values.min() if values.min() < 0 else values.max()
                raise DataError(f"filter of {split}: expected a {what} between 0 and {size - 1}, got {bad}")
        matrix = sp.csr_matrix((np.ones(len(rows), dtype=bool), (rows, labels)), shape=shape)
        matrix.sort_indices()
        return matrix

    def _warn_unlabelled(self, split: str, relevance: sp.csr_matrix) -> None:
        count = int((np.diff(relevance.indptr) == 0).sum())
        if count:
            use = "training skips them" if split == "train" else "each counts as 0 in every metric"
            rows = counted(count, f"{split} row has", f"{split} rows have")
            _log.warning("%s: %s no label; %s", self.name, rows, use)

    def _warn_repeated(self, split: Split) -> None:
        hashes = np.frombuffer(self._tables[split].uid_hashes, dtype=np.int64)
        _, index, counts = np.unique(hashes, return_inverse=True, return_counts=True)
        rows = np.flatnonzero(counts[index] > 1)
        if len(rows):
            same = np.flatnonzero(index == index[rows[0]])
            _log.warning(
                "%s: %d %s rows share their uid with another (rows %d and %d are the first): predictions "
                "that name queries by uid (TREC, JSON Lines) are refused, those by row (npz) are not",
                *(self.name, len(rows), split, same[0], same[1]),
            )

    def _warn_empty(self) -> None:
        counts = {table: writer.num_empty for table, writer in self._tables.items() if writer.num_empty}
        if counts:
            listed = ", ".join(f"{count} in {table}" for table, count in counts.items())
            _log.warning("%s: %d empty texts kept (%s)", self.name, sum(counts.values()), listed)
