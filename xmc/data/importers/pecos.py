"""PECOS's text folders: ``X.{trn,tst}.txt``, ``Y.{trn,tst}.npz`` and ``output-items.txt``.

``filter_labels_{train,test}.txt`` are optional; feature matrices (``X.trn.npz``) are left aside.
"""

from __future__ import annotations

from pathlib import Path

from xmc.data.importers.filters import add_filters, filter_files
from xmc.data.importers.formats import SourceFormat, always
from xmc.data.importers.line_texts import LineTextFiles, read_line_texts
from xmc.data.importers.reader import find_file, require_file
from xmc.data.writer import DatasetWriter

__all__ = ["PECOS"]


def _paths(source: str) -> LineTextFiles:
    folder = Path(source)
    return LineTextFiles(
        labels=require_file(folder, "output-items.txt"),
        texts={"train": require_file(folder, "X.trn.txt"), "test": require_file(folder, "X.tst.txt")},
        relevance={"train": require_file(folder, "Y.trn.npz"), "test": require_file(folder, "Y.tst.npz")},
    )


def _matches(folder: Path) -> bool:
    return find_file(folder, "X.trn.txt") is not None


def _files(source: str) -> list[Path]:
    return [*_paths(source).all(), *filter_files([Path(source)]).values()]


def _read(source: str, writer: DatasetWriter, progress: bool) -> None:
    read_line_texts(_paths(source), writer, progress)
    add_filters([Path(source)], writer, progress)


PECOS = SourceFormat(
    "pecos", "X.trn.txt, X.tst.txt, output-items.txt with Y.{trn,tst}.npz", _matches, _files, always, _read
)
