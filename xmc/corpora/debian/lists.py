"""Finds and opens apt's package lists, whatever they are compressed with."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import subprocess
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from xmc.errors import DataError

__all__ = ["APT_HELPER", "LISTS", "find_lists", "open_list"]

LISTS = Path("/var/lib/apt/lists")
"""Where apt keeps what ``apt-get update`` fetched."""

APT_HELPER = Path("/usr/lib/apt/apt-helper")
"""Apt's own tool, which reads every compression that apt writes."""

_UNPACKED: dict[str, Callable[[Path], IO[bytes]]] = {
    "": lambda path: open(path, "rb"),
    ".gz": lambda path: cast(IO[bytes], gzip.open(path)),
    ".xz": lambda path: cast(IO[bytes], lzma.open(path)),
    ".bz2": lambda path: cast(IO[bytes], bz2.open(path)),
}
_HELPED = (".lz4", ".zst")


def find_lists(folder: Path) -> list[Path]:
    """The files ``*_Packages*`` and ``*_Translation-en*`` of a folder, in order of name.

    Raises:
        DataError: When there are no ``Packages`` among them.
    """
    suffixes = {*_UNPACKED, *_HELPED}
    found = {
        kind: sorted(
            path for path in folder.glob(f"*_{kind}*") if path.name.rpartition(f"_{kind}")[2] in suffixes
        )
        for kind in ("Packages", "Translation-en")
    }
    if not found["Packages"]:
        raise DataError(
            f"expected package lists in {folder}, found none: run `apt-get update` as root on a Debian or "
            "Ubuntu machine, or name Packages files with --packages"
        )
    return [*found["Packages"], *found["Translation-en"]]


@contextmanager
def open_list(path: Path) -> Iterator[Iterator[str]]:
    """The lines of a package list; .gz, .xz, .bz2 are unpacked here, .lz4 and .zst by apt's helper.

    Raises:
        DataError: Naming the file, when it is missing, damaged, not UTF-8, or of an unknown compression.
    """
    if not path.is_file():
        raise DataError(f"{path}: expected a Packages file of apt, found no such file")
    suffix = path.suffix if path.suffix in (*_HELPED, *_UNPACKED) else ""
    try:
        if suffix in _HELPED:
            with _helped(path) as file:
                yield _lines(file)
        else:
            with _UNPACKED[suffix](path) as file:
                yield _lines(file)
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"{path}: expected a whole, readable package list ({error})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8 ({error})") from error


def _lines(file: IO[bytes]) -> Iterator[str]:
    return io.TextIOWrapper(file, encoding="utf-8")


@contextmanager
def _helped(path: Path) -> Iterator[IO[bytes]]:
    if not APT_HELPER.is_file():
        raise DataError(
            f"{path}: expected apt's helper {APT_HELPER} to unpack {path.suffix} with, found no such file: "
            "unpack the list yourself, and name the plain file with --packages"
        )
    command: Sequence[str] = [str(APT_HELPER), "cat-file", str(path.absolute())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        yield process.stdout
    if process.returncode:
        raise DataError(f"{path}: expected a package list that {APT_HELPER} can unpack, but it failed")
