"""Lines of text files, gzipped or not, read one by one within ``xmc.limits`` and named in errors."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from xmc.errors import DataError
from xmc.limits import MAX_LINE_BYTES, MAX_RATIO, UNPACKED_TEXT_BYTES
from xmc.progress import Bar
from xmc.received import reading

__all__ = ["LineReader", "Located", "unpacked"]

_GZIP_MAGIC = b"\x1f\x8b"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""Byte order marks."""
_BAR_LINES = 1024
_PACKED_BLOCK = 512  # read ahead of what is unpacked, and small, as that hides how much comes out of it
_BUFFER = 1 << 16


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
        DataError: For bytes that are not UTF-8, a line of more than ``MAX_LINE_BYTES``, a damaged gzip or one
            that unpacks to more than ``MAX_RATIO`` times its size; :meth:`located` adds the line.
    """

    def __init__(self, path: Path, *, progress: bool = False) -> None:
        super().__init__(str(path), "line")
        self.path = path
        self._progress = progress

    def __iter__(self) -> Iterator[str]:
        """The lines as text, without their ends; a DataError names file and line where one is no UTF-8."""
        self.number = 0
        with reading("", "a file that can be read"):
            total, opened = self.path.stat().st_size, open(self.path, "rb")
        with opened as raw:
            for line in self._lines(raw, total):
                try:
                    text = line.decode("utf-8-sig" if self.number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    came = "utf-16" if self.number == 1 and line.startswith(_UTF_16) else "latin1"
                    raise DataError(
                        f"expected UTF-8, got 0x{line[error.start]:02x} at byte {error.start + 1}: "
                        f"convert the file, for example with `iconv -f {came} -t utf-8`"
                    ) from error
                yield text.rstrip("\r\n")

    def _lines(self, raw: IO[bytes], total: int) -> Iterator[bytes]:
        stream = unpacked(raw)
        with Bar(total, self.path.name, "B", shown=self._progress) as bar:
            while line := self._next_line(stream):
                if self.number % _BAR_LINES == 0:
                    bar.update(raw.tell() - bar.n)
                yield line
            bar.update(total - bar.n)

    def _next_line(self, stream: IO[bytes]) -> bytes:
        self.number += 1
        try:
            line = stream.readline(MAX_LINE_BYTES + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"expected a complete gzip file ({error}): fetch it again") from error
        except OSError as error:
            raise DataError(f"expected a file that can be read ({error.strerror})") from error
        if len(line) > MAX_LINE_BYTES:
            raise DataError(
                f"expected lines of at most {MAX_LINE_BYTES >> 20} MiB, got a longer one that begins "
                f"{line[:40]!r}: put one record on a line"
            )
        if not line:
            self.number -= 1
        return line


def unpacked(raw: IO[bytes]) -> IO[bytes]:
    """An open file, unpacked as it is read where it is gzipped, whatever it is called.

    Reading raises:
        DataError: When a gzip file unpacks to more than ``MAX_RATIO`` times its size.
        EOFError, OSError, zlib.error: When it is damaged.
    """
    gzipped = raw.read(2) == _GZIP_MAGIC
    raw.seek(0)
    return io.BufferedReader(_Unpacked(raw), _BUFFER) if gzipped else raw


class _Unpacked(io.RawIOBase):
    """The bytes that a gzip file packs, with an eye on their number."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw, self._size = raw, 0
        self._stream = gzip.GzipFile(fileobj=_InBlocks(raw), mode="rb")

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; a DataError where too much has come out of too little."""
        data = self._stream.read(len(buffer))
        self._size += len(data)
        packed = self._raw.tell()  # what was read of it, of which up to a block may wait to be unpacked
        if self._size > UNPACKED_TEXT_BYTES and self._size > MAX_RATIO * packed:
            raise DataError(
                f"expected a gzip file that unpacks to at most {MAX_RATIO} times its size, got "
                f"{self._size:,} bytes out of its first {packed:,}: unpack it first (gunzip) if you trust it"
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file, too."""
        if not self.closed:
            self._stream.close()
            self._raw.close()
        super().close()


class _InBlocks:
    """A packed file that is read in small blocks, so that its position is close to what was unpacked.

    One of a block at most is judged as a whole.
    """

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw

    def read(self, size: int = -1, /) -> bytes:
        """At most half a KiB, whatever was asked for."""
        return self._raw.read(min(size, _PACKED_BLOCK) if size >= 0 else _PACKED_BLOCK)

    def seek(self, place: int, /) -> int:
        """As the file's."""
        return self._raw.seek(place)
