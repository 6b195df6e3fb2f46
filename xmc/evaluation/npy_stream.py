"""Arrays inside an npz file, read and written block by block, so that no more than a block is in memory."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from xmc.data.npz import read_header
from xmc.errors import DataError
from xmc.received import reading

__all__ = ["NpyReader", "npz_members", "write_npz"]

_COPY_BYTES = 1 << 22


def npz_members(path: str | Path) -> list[str]:
    """The names of the arrays in an npz file.

    Raises:
        DataError: When it is missing or no npz file.
    """
    with reading(path, "an npz file"), zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


class NpyReader:
    """Reads one array of an npz file front to back; use as a context manager. No pickle is loaded.

    Args:
        path: The npz file.
        name: The array's name.

    Raises:
        DataError: On entering, when there is no such array or it is malformed.
    """

    def __init__(self, path: str | Path, name: str) -> None:
        self.path, self.name = path, name
        self.shape: tuple[int, ...] = ()
        self.dtype: np.dtype[Any] = np.dtype(np.float32)
        self._archive: zipfile.ZipFile | None = None
        self._file: IO[bytes] | None = None

    def __enter__(self) -> NpyReader:
        """Open the archive and read the array's header; a DataError where either is damaged."""
        try:
            with reading(self.path, f"an npz file with the array {self.name}"):
                self._archive = zipfile.ZipFile(self.path)
                self._file = self._archive.open(f"{self.name}.npy")
                self.shape, fortran, self.dtype = read_header(self._file)
                if fortran and len(self.shape) > 1:
                    raise ValueError("it is stored column by column, expected row by row")
        except DataError:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the array and the archive."""
        for opened in (self._file, self._archive):
            if opened is not None:
                opened.close()

    def take(self, count: int) -> NDArray[Any]:
        """The next ``count`` rows (items of a one-dimensional array).

        Raises:
            DataError: When the file ends before.
        """
        assert self._file is not None
        shape = (count, *self.shape[1:])
        wanted = math.prod(shape) * self.dtype.itemsize
        with reading(self.path, f"the array {self.name} to be whole"):
            data = self._file.read(wanted)
        if len(data) != wanted:
            raise DataError(
                f"{self.path}: expected {wanted} more bytes of the array {self.name}, got {len(data)}"
            )
        return np.frombuffer(data, dtype=self.dtype).reshape(shape)


def write_npz(path: str | Path, arrays: Sequence[tuple[str, tuple[int, ...], Any, Path]]) -> None:
    """A compressed npz file of arrays whose bytes lie in files, copied in blocks.

    Args:
        path: The npz file.
        arrays: Name, shape and type of each array, and the file of its bytes, row by row.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, shape, dtype, source in arrays:
            header = io.BytesIO()
            facts = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(header, facts)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member, open(source, "rb") as file:
                member.write(header.getvalue())
                for block in _blocks(file):
                    member.write(block)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(_COPY_BYTES):
        yield block
