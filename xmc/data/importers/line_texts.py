"""Text files of one text per line, beside matrices of one row per text: the form xc and pecos share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xmc.data.importers.matrix_rows import MatrixRows, matrix_rows
from xmc.data.importers.reader import LineReader
from xmc.data.manifest import SPLITS, Split
from xmc.data.writer import DatasetWriter
from xmc.errors import DataError

__all__ = ["LineTextFiles", "read_line_texts"]


@dataclass(frozen=True)
class LineTextFiles:
    """Where labels, texts and relevance are."""

    labels: Path
    texts: dict[Split, Path]
    relevance: dict[Split, Path]

    def all(self) -> list[Path]:
        """Every file."""
        return [self.labels, *self.texts.values(), *self.relevance.values()]


def read_line_texts(files: LineTextFiles, writer: DatasetWriter, progress: bool) -> None:
    """Read labels and both splits; uids are line numbers from 0.

    Raises:
        DataError: Naming file and line.
    """
    _add_labels(files.labels, writer, progress)
    for split in SPLITS:
        rows = matrix_rows(files.relevance[split], writer.num_labels)
        _add_texts(files.texts[split], split, rows, writer, progress)


def _add_labels(path: Path, writer: DatasetWriter, progress: bool) -> None:
    lines = LineReader(path, progress=progress)
    with lines.located():
        for text in lines:
            writer.add_label(str(writer.num_labels), text)


def _add_texts(path: Path, split: Split, matrix: MatrixRows, writer: DatasetWriter, progress: bool) -> None:
    lines = LineReader(path, progress=progress)
    rows = iter(matrix)
    with lines.located():
        for text in lines:
            row = next(rows, None)
            if row is None:
                count = lines.number - 1
                raise DataError(f"expected {count} texts, the number of rows of {matrix.where}, got more")
            writer.add_row(split, str(lines.number - 1), text, "", *row)
        if extra := sum(1 for _ in rows):
            count = lines.number + extra
            raise DataError(
                f"expected {count} texts, the number of rows of {matrix.where}, the file ends here"
            )
