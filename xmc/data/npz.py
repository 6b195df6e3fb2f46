"""npz files looked at before they are read: what they promise is what they hold, and fits in memory."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from xmc.limits import MAX_RATIO, UNPACKED_ARRAY_BYTES

__all__ = ["check_npz", "check_unpacked", "read_header"]

_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether stored column by column, and type of the array that begins here; no pickle is read.

    Raises:
        ValueError: When it is no header of an array of plain numbers or texts.
    """
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"unknown npy version {version}")
    try:
        shape, fortran, dtype = _HEADERS[version](file)
    except (MemoryError, RecursionError, TypeError, SyntaxError) as error:
        raise ValueError(f"its header is damaged ({error})") from error
    if dtype.hasobject:
        raise ValueError("it holds Python objects, expected numbers")
    if any(size < 0 for size in shape):
        raise ValueError(f"its shape is {shape}")
    return shape, fortran, dtype


def check_npz(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and type by array, once every one is found to fill its part of the file.

    Raises:
        ValueError: When the file is no npz file, holds objects, promises other sizes than it holds, or
            unpacks to more than ``check_unpacked`` allows.
        OSError, KeyError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError: When it is
            damaged.
    """
    found: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy") or member.compress_type not in _PACKINGS:
                raise ValueError(f"{member.filename!r:.80} is no array packed by numpy")
            name = member.filename.removesuffix(".npy")
            if name in found:
                raise ValueError(f"it holds {name!r:.80} twice")
            with archive.open(member) as file:
                shape, _, dtype = read_header(file)
                wanted = file.tell() + math.prod(shape) * dtype.itemsize
            if wanted != member.file_size:
                raise ValueError(f"{name} is {list(shape)} of {dtype}, but has {member.file_size:,} bytes")
            found[name] = shape, dtype
        check_unpacked(sum(member.file_size for member in archive.infolist()), path.stat().st_size)
    return found


def check_unpacked(size: int, packed: int, mend: str = "save it unpacked (numpy.savez)") -> None:
    """Refuse what takes far more memory, in bytes, than its file has.

    Args:
        size: Bytes of memory.
        packed: Bytes of the file.
        mend: How such a file is written so that it can be read.

    Raises:
        ValueError: Saying so.
    """
    if size > UNPACKED_ARRAY_BYTES and size > MAX_RATIO * packed:
        raise ValueError(
            f"it takes {size:,} bytes out of a file of {packed:,}, more than {MAX_RATIO} times as many: "
            f"{mend} if it is right"
        )
