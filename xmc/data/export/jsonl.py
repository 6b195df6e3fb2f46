"""JSON Lines as ``xmc data import`` reads them: uids, texts, relevance and filters of a prepared data set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xmc.data.dataset import Dataset
from xmc.data.export.filters import write_filters
from xmc.data.manifest import SPLITS, Split, Table

__all__ = ["write_jsonl"]


def write_jsonl(dataset: Dataset, folder: Path) -> None:
    """Write ``train.jsonl``, ``test.jsonl`` and ``labels.jsonl``, and filters.

    A query has uid, title, content, its labels' uids, and their relevance where it is not 1 for all.
    """
    _write(folder / "labels.jsonl", _records(dataset, "labels"))
    for split in SPLITS:
        pairs = zip(_records(dataset, split), _label_lists(dataset, split), strict=True)
        _write(folder / f"{split}.jsonl", ({**record, **labels} for record, labels in pairs))
    write_filters(dataset, folder)


def _label_lists(dataset: Dataset, split: Split) -> Iterator[dict[str, Any]]:
    uids, relevance = dataset.uids("labels")[:], dataset.relevance(split)
    for start, stop in zip(relevance.indptr[:-1], relevance.indptr[1:], strict=True):
        weights = relevance.data[start:stop]
        labels = {"labels": [uids[label] for label in relevance.indices[start:stop]]}
        yield labels | ({"relevance": weights.tolist()} if np.any(weights != 1) else {})


def _records(dataset: Dataset, table: Table) -> Iterable[dict[str, Any]]:
    columns = (dataset.uids(table), *(dataset.texts(table, [field]) for field in ("title", "content")))
    for uid, title, content in zip(*columns, strict=True):
        yield {"uid": uid, "title": title, "content": content}


def _write(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
