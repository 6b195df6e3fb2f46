"""The extreme classification repository's raw text: ``trn|tst|lbl.json[.gz]``, one JSON object per line.

A point is ``{"uid", "title", "content", "target_ind": [label ids], "target_rel": [weights]}``, a label
``{"uid", "title"}`` with or without ``content``; a label's line is its id. ``filter_labels_{train,test}.txt``
are optional.
"""

from __future__ import annotations

from pathlib import Path

from xmc.data.importers.filters import add_filters, filter_files
from xmc.data.importers.formats import SourceFormat
from xmc.data.importers.reader import JsonReader, find_file, require_file
from xmc.data.importers.records import LabelBook, add_labels, add_rows
from xmc.data.writer import DatasetWriter

__all__ = ["DEXML"]


def _names(part: str) -> tuple[str, str]:
    return (f"{part}.json", f"{part}.raw.json")


def _parts(source: str) -> dict[str, Path]:
    return {part: require_file(Path(source), *_names(part)) for part in ("lbl", "trn", "tst")}


def _matches(folder: Path) -> bool:
    return find_file(folder, *_names("trn")) is not None


def _files(source: str) -> list[Path]:
    return [*_parts(source).values(), *filter_files([Path(source)]).values()]


def _read(source: str, writer: DatasetWriter, progress: bool) -> None:
    readers = {part: JsonReader(path, progress=progress) for part, path in _parts(source).items()}
    add_labels(readers["lbl"], writer)
    book = LabelBook(writer, closed=True)
    add_rows(readers["trn"], "train", writer, book)
    add_rows(readers["tst"], "test", writer, book)
    add_filters([Path(source)], writer, progress)


DEXML = SourceFormat("dexml", "trn.json[.gz] with tst.json[.gz] and lbl.json[.gz]", _matches, _files, _read)
