"""Text lines with label matrices: ``raw/{trn_X,tst_X,Y}.txt`` and ``Y.{trn,tst}.npz``.

The label matrices may also be sparse text (``trn_X_Y.txt``, ``tst_X_Y.txt``), any file may be in the folder
itself or in ``raw/``, text plain or gzipped, and ``filter_labels_{train,test}.txt`` are optional.
"""

from __future__ import annotations

from pathlib import Path

from xmc.data.importers.filters import add_filters, filter_files
from xmc.data.importers.formats import SourceFormat, always
from xmc.data.importers.line_texts import LineTextFiles, read_line_texts
from xmc.data.importers.reader import find_file
from xmc.data.writer import DatasetWriter
from xmc.errors import DataError

__all__ = ["XC"]


def _folders(source: str) -> list[Path]:
    return [Path(source), Path(source) / "raw"]


def _require(source: str, *names: str) -> Path:
    found = [path for folder in _folders(source) if (path := find_file(folder, *names))]
    if not found:
        raise DataError(
            f"{source}: expected a file {' or '.join(names)} (or with .gz) here or in raw/, found none"
        )
    return found[0]


def _paths(source: str) -> LineTextFiles:
    return LineTextFiles(
        labels=_require(source, "Y.txt"),
        texts={"train": _require(source, "trn_X.txt"), "test": _require(source, "tst_X.txt")},
        relevance={
            "train": _require(source, "Y.trn.npz", "trn_X_Y.txt"),
            "test": _require(source, "Y.tst.npz", "tst_X_Y.txt"),
        },
    )


def _matches(folder: Path) -> bool:
    return any(find_file(place, "trn_X.txt") for place in _folders(str(folder)))


def _files(source: str) -> list[Path]:
    return [*_paths(source).all(), *filter_files(_folders(source)).values()]


def _read(source: str, writer: DatasetWriter, progress: bool) -> None:
    read_line_texts(_paths(source), writer, progress)
    add_filters(_folders(source), writer, progress)


XC = SourceFormat(
    "xc", "trn_X.txt, tst_X.txt, Y.txt (or in raw/) with Y.{trn,tst}.npz", _matches, _files, always, _read
)
