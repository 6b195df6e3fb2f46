"""Files that are something else than they are called: told by how they begin, with what to do."""

from __future__ import annotations

import json
from pathlib import Path

from xmc.errors import DataError

__all__ = ["other_than_text", "refuse_other_format"]

_WORKBOOK = "an Excel workbook: save its sheet as CSV UTF-8"
_MAGIC = (
    (b"PAR1", "a Parquet file: let its name end in .parquet"),
    (b"PK\x03\x04", "a zip archive, as an Excel workbook is one: save the sheet as CSV UTF-8, or unpack it"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _WORKBOOK),
    (b"BZh91AY&SY", "a file packed by bzip2: unpack it, or pack it with gzip"),
    (b"\xfd7zXZ\x00", "a file packed by xz: unpack it, or pack it with gzip"),
    (b"\x28\xb5\x2f\xfd", "a file packed by zstd: unpack it, or pack it with gzip"),
)
"""First bytes, and what a file is that has them."""

_LOOKED_AT = 4096


def refuse_other_format(path: Path, start: bytes, encoding: str | None) -> None:
    """Nothing for a file that may be CSV or TSV.

    Args:
        path: Of the file.
        start: Its first bytes, unpacked where it is gzipped.
        encoding: Where it is known, as told or by a byte order mark.

    Raises:
        DataError: For one that is Parquet, a workbook, packed, JSON Lines or UTF-16 without a mark.
    """
    found = next((what for magic, what in _MAGIC if start.startswith(magic)), None)
    if found is None and _is_json(start):
        found = "a JSON object a line: let its name end in .jsonl"
    if (
        found is None
        and encoding is None
        and (kind := _utf_16(start[:_LOOKED_AT].partition(b"\n")[0])) is not None
    ):
        found = f"what looks like UTF-16 without a byte order mark: say so (--encoding {kind})"
    if found is not None:
        raise DataError(f"{path}: expected CSV or TSV, got {found}")


def other_than_text(path: Path, start: bytes) -> str | None:
    """What a file is that is read as plain text, a query a line, and begins or is called otherwise."""
    # A line of text may begin as Parquet does, whose next bytes are no text.
    found = next((what for magic, what in _MAGIC if start.startswith(magic) and not magic.isalnum()), None)
    if found is None and b"\0" in start:
        found = next((what for magic, what in _MAGIC if start.startswith(magic)), None)
    if found is None and _is_json(start):
        found = "a JSON object a line: let its name end in .jsonl"
    name = path.name.lower().removesuffix(".gz")
    if found is None and name.endswith(".json") and start.lstrip()[:1] in (b"{", b"["):
        found = "JSON in one piece: write an object a line, and let its name end in .jsonl"
    return found


def _is_json(start: bytes) -> bool:
    """Whether the first line that is not empty is a JSON object."""
    line = start.lstrip().partition(b"\n")[0]
    if not line.startswith((b"{", b"\xef\xbb\xbf{")):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _utf_16(start: bytes) -> str | None:
    """The kind of UTF-16 in which a Latin line, as most headers are, has zero in every second byte."""
    even, odd = start[::2], start[1::2]
    if 2 * odd.count(0) > len(odd) > 0 and not even.count(0):
        return "utf-16-le"
    return "utf-16-be" if 2 * even.count(0) > len(even) > 0 and not odd.count(0) else None
