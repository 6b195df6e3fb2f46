"""A Hugging Face data set: a folder that ``save_to_disk`` left or ``load_dataset`` reads, or a hub name.

Its splits ``train``, ``test`` (optional) and ``labels`` (optional) have the columns in ``records.py``. A
column of ``ClassLabel`` gives the label names itself. Other splits are left aside, and the log says so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xmc.data.importers.formats import SourceFormat, no_extra_files
from xmc.data.importers.reader import Located
from xmc.data.importers.records import LabelBook, add_labels, add_rows
from xmc.data.manifest import SPLITS, TABLES
from xmc.data.writer import DatasetWriter
from xmc.errors import DataError
from xmc.progress import each
from xmc.received import check_folder, reading

__all__ = ["HUB"]

_log = logging.getLogger(__name__)


class HubReader(Located):
    """The rows of one split as dictionaries; the table is memory-mapped by ``datasets``."""

    def __init__(self, where: str, table: Any, *, progress: bool) -> None:
        super().__init__(where, "row")
        self._table = table
        self._progress = progress

    def __iter__(self) -> Iterator[object]:
        self.number = 0
        with reading(self.where, "a readable table"):
            # Arrow trusts what is mapped: a damaged offset would be read far outside the file.
            self._table.data.validate(full=True)
        rows = iter(each(self._table, self.where, "row", shown=self._progress))
        while (row := self._next(rows)) is not None:
            self.number += 1
            yield row

    def _next(self, rows: Iterator[object]) -> object | None:
        with reading(self.where, "a readable table"):
            return next(rows, None)


def _matches(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def _load(source: str) -> Mapping[str, Any]:
    import datasets

    if Path(source).is_dir():
        check_folder(Path(source), "a folder of a Hugging Face data set")
    with reading(source, "a Hugging Face data set, folder or name"):
        if _matches(Path(source)):
            loaded = datasets.load_from_disk(source)
        else:
            loaded = datasets.load_dataset(source)
    splits = loaded if isinstance(loaded, Mapping) else {"train": loaded}
    if "train" not in splits:
        raise DataError(f"{source}: expected a split named train, got {', '.join(splits)}")
    return splits


def _class_names(features: Mapping[str, Any]) -> list[str] | None:
    """Names of the label column when it is a ClassLabel or a list of them."""
    for key in ("labels", "label"):
        feature = features.get(key)
        names = getattr(getattr(feature, "feature", feature), "names", None)
        if names:
            return list(names)
    return None


def _has_test(source: str) -> bool:
    return "test" in _load(source)


def _read(source: str, writer: DatasetWriter, progress: bool) -> None:
    splits = _load(source)
    left = [name for name in splits if name not in TABLES]
    if left:
        _log.warning("%s: splits left aside: %s", source, ", ".join(left))
    names = _class_names(splits["train"].features)
    numbered = False
    if "labels" in splits:
        labels = HubReader(f"{source} split labels", splits["labels"], progress=progress)
        numbered = add_labels(labels, writer)
    elif names:
        for name in names:
            writer.add_label(name, name)
    book = LabelBook(writer, closed="labels" in splits or bool(names), numbered=numbered)
    for split in SPLITS:
        if split in splits:
            reader = HubReader(f"{source} split {split}", splits[split], progress=progress)
            add_rows(reader, split, writer, book)


HUB = SourceFormat(
    "hub",
    "dataset_dict.json or state.json, as save_to_disk leaves",
    _matches,
    no_extra_files,
    _has_test,
    _read,
)
