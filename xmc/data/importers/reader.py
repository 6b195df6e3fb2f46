"""Reads source files line by line, and puts the file and line in front of whatever goes wrong there."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from xmc.errors import DataError
from xmc.progress import Bar

__all__ = ["JsonReader", "LineReader", "Located", "find_file", "require_file"]

_GZIP_MAGIC = b"\x1f\x8b"
_BAR_LINES = 1024


class _PlacedError(DataError):
    """A DataError whose text names its place."""


class Located:
    """Something read in order; :attr:`number` is the line or row being read, from 1."""

    def __init__(self, where: str, unit: str) -> None:
        self.where = where
        self.unit = unit
        self.number = 0

    @contextmanager
    def located(self) -> Iterator[None]:
        """Any DataError raised inside names the source and its line or row, unless it names one already."""
        try:
            yield
        except _PlacedError:
            raise
        except DataError as error:
            raise _PlacedError(f"{self.where}, {self.unit} {self.number}: {error}") from error


class LineReader(Located):
    """The lines of a UTF-8 file, gzipped or not, without their line ends; a progress bar counts bytes read.

    Only a line feed ends a line: texts may hold the other Unicode line separators.

    Iterating raises:
        DataError: For bytes that are not UTF-8 or a damaged gzip; :meth:`located` adds the line.
    """

    def __init__(self, path: Path, *, progress: bool = False) -> None:
        super().__init__(str(path), "line")
        self.path = path
        self._progress = progress

    def __iter__(self) -> Iterator[str]:
        """The lines as text, without their ends; a DataError names file and line where one is no UTF-8."""
        self.number = 0
        with open(self.path, "rb") as raw:
            for line in self._lines(raw):
                try:
                    text = line.decode("utf-8-sig" if self.number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise DataError(
                        f"expected UTF-8, got 0x{line[error.start]:02x} at byte {error.start + 1}: "
                        f"convert the file, for example with `iconv -f latin1 -t utf-8`"
                    ) from error
                yield text.rstrip("\r\n")

    def _lines(self, raw: IO[bytes]) -> Iterator[bytes]:
        total = self.path.stat().st_size
        gzipped = raw.read(2) == _GZIP_MAGIC
        raw.seek(0)
        stream = gzip.GzipFile(fileobj=raw) if gzipped else raw
        with Bar(total, self.path.name, "B", shown=self._progress) as bar:
            while line := self._next_line(stream):
                if self.number % _BAR_LINES == 0:
                    bar.update(raw.tell() - bar.n)
                yield line
            bar.update(total - bar.n)

    def _next_line(self, stream: IO[bytes] | gzip.GzipFile) -> bytes:
        self.number += 1
        try:
            line = stream.readline()
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"expected a complete gzip file ({error}): fetch it again") from error
        if not line:
            self.number -= 1
        return line


class JsonReader(LineReader):
    """The JSON value of every line.

    Iterating raises:
        DataError: As :class:`LineReader`, and for malformed JSON.
    """

    def __iter__(self) -> Iterator[object]:  # type: ignore[override]
        """The records, one from each line; a DataError names file and line of one that is no JSON."""
        for line in super().__iter__():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"expected one JSON object per line ({error}), got {line!r:.80}") from error


def find_file(folder: Path, *names: str) -> Path | None:
    """The first of ``names``, plain or with ``.gz``, that is a file in ``folder``."""
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    return None


def require_file(folder: Path, *names: str) -> Path:
    """As :func:`find_file`.

    Raises:
        DataError: When there is none.
    """
    path = find_file(folder, *names)
    if path is None:
        raise DataError(f"{folder}: expected a file {' or '.join(names)} (or with .gz), found none")
    return path
