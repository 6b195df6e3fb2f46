"""JSON Lines: ``train.jsonl``, optional ``test.jsonl`` and ``labels.jsonl``, plain or gzipped.

The accepted columns are in ``records.py``; for example, with a labels file::

    train.jsonl    {"uid": "q1", "text": "a red car", "labels": ["car", "red"], "relevance": [1.0, 0.5]}
    labels.jsonl   {"uid": "car", "text": "Car: a vehicle with four wheels"}

and without, where the names are the labels: ``{"text": "a red car", "labels": ["car", "red"]}``.
``filter_labels_{train,test}.txt`` are optional.
"""

from __future__ import annotations

from pathlib import Path

from xmc.data.importers.filters import add_filters, filter_files
from xmc.data.importers.formats import SourceFormat
from xmc.data.importers.reader import JsonReader, find_file, require_file
from xmc.data.importers.records import LabelBook, add_labels, add_rows
from xmc.data.manifest import SPLITS, Split
from xmc.data.writer import DatasetWriter

__all__ = ["JSONL"]


def _splits(folder: Path) -> dict[Split, Path]:
    require_file(folder, "train.jsonl")
    return {split: path for split in SPLITS if (path := find_file(folder, f"{split}.jsonl"))}


def _labels(folder: Path) -> Path | None:
    return find_file(folder, "labels.jsonl")


def _matches(folder: Path) -> bool:
    return find_file(folder, "train.jsonl") is not None


def _files(source: str) -> list[Path]:
    folder = Path(source)
    labels = [path for path in [_labels(folder)] if path]
    return [*labels, *_splits(folder).values(), *filter_files([folder]).values()]


def _has_test(source: str) -> bool:
    return "test" in _splits(Path(source))


def _read(source: str, writer: DatasetWriter, progress: bool) -> None:
    folder = Path(source)
    labels = _labels(folder)
    numbered = labels is not None and add_labels(JsonReader(labels, progress=progress), writer)
    book = LabelBook(writer, closed=labels is not None, numbered=numbered)
    for split, path in _splits(folder).items():
        add_rows(JsonReader(path, progress=progress), split, writer, book)
    add_filters([folder], writer, progress)


JSONL = SourceFormat(
    "jsonl", "train.jsonl[.gz] with or without test.jsonl, labels.jsonl", _matches, _files, _has_test, _read
)
