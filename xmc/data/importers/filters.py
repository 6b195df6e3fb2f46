"""Filter files: lines ``row label``, 0-based, of pairs to leave out of the ranking (an item as itself)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xmc.data.importers.reader import LineReader, find_file, whole_number
from xmc.data.manifest import SPLITS, Split
from xmc.data.writer import DatasetWriter
from xmc.errors import DataError

__all__ = ["add_filters", "filter_files"]

_NAMES: dict[Split, tuple[str, str]] = {
    "train": ("filter_labels_train.txt", "trn_filter_labels.txt"),
    "test": ("filter_labels_test.txt", "tst_filter_labels.txt"),
}


def filter_files(folders: Sequence[Path]) -> dict[Split, Path]:
    """The filter file of each split that has one in ``folders``."""
    found = {split: [find_file(folder, *_NAMES[split]) for folder in folders] for split in SPLITS}
    return {split: next(path for path in paths if path) for split, paths in found.items() if any(paths)}


def add_filters(folders: Sequence[Path], writer: DatasetWriter, progress: bool) -> None:
    """Add the pairs of every filter file in ``folders``; rows and labels must be in ``writer`` already.

    Raises:
        DataError: Naming file and line of a pair that is malformed or out of range.
    """
    for split, path in filter_files(folders).items():
        lines = LineReader(path, progress=progress)
        with lines.located():
            for line in lines:
                row, label = _pair(line)
                _check("row", row, writer.num_rows(split))
                _check("label", label, writer.num_labels)
                writer.add_filter(split, row, label)


def _pair(line: str) -> tuple[int, int]:
    parts = line.split()
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise DataError(f"expected two numbers, row and label, got {line!r:.80}")
    return whole_number(parts[0]), whole_number(parts[1])


def _check(what: str, value: int, size: int) -> None:
    if value >= size:
        raise DataError(f"expected a {what} between 0 and {size - 1}, got {value}")
