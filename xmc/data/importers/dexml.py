"""The extreme classification repository's raw text: ``trn|tst|lbl.json[.gz]``, one JSON object per line.

A point is ``{"uid", "title", "content", "target_ind": [label ids], "target_rel": [weights]}``, a label
``{"uid", "title"}`` with or without ``content``; a label's line is its id. ``filter_labels_{train,test}.txt``
are optional. All may be in the folder itself or in ``raw/``.

The DEXML project trains on these files converted: ``raw/{trn_X,tst_X,Y}.txt`` with ``Y.{trn,tst}.npz``. A
folder that holds those alone is read as the xc format does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xmc.data.importers.filters import add_filters, filter_files
from xmc.data.importers.formats import SourceFormat, always
from xmc.data.importers.reader import JsonReader, find_file, require_file
from xmc.data.importers.records import LabelBook, add_labels, add_rows
from xmc.data.importers.xc import XC
from xmc.data.writer import DatasetWriter

__all__ = ["DEXML"]


def _names(part: str) -> tuple[str, str]:
    return (f"{part}.json", f"{part}.raw.json")


def _folders(source: str) -> list[Path]:
    return [Path(source), Path(source) / "raw"]


def _place(source: str) -> Path | None:
    """Where the JSON files are; None where there are none, as in what the project's own code reads."""
    return next((folder for folder in _folders(source) if find_file(folder, *_names("trn"))), None)


def _converted(source: str) -> bool:
    return _place(source) is None and XC.matches(Path(source))


def _parts(source: str) -> dict[str, Path]:
    place = _place(source) or Path(source)
    return {part: require_file(place, *_names(part)) for part in ("lbl", "trn", "tst")}


def _matches(folder: Path) -> bool:
    return _place(str(folder)) is not None


def _files(source: str) -> Sequence[Path]:
    if _converted(source):
        return XC.files(source)
    return [*_parts(source).values(), *filter_files(_folders(source)).values()]


def _read(source: str, writer: DatasetWriter, progress: bool) -> None:
    if _converted(source):
        XC.read(source, writer, progress)
        return
    readers = {part: JsonReader(path, progress=progress) for part, path in _parts(source).items()}
    add_labels(readers["lbl"], writer)
    book = LabelBook(writer, closed=True)
    add_rows(readers["trn"], "train", writer, book)
    add_rows(readers["tst"], "test", writer, book)
    add_filters(_folders(source), writer, progress)


DEXML = SourceFormat(
    "dexml",
    "trn.json[.gz] with tst.json[.gz] and lbl.json[.gz] (or in raw/)",
    _matches,
    _files,
    always,
    _read,
)
