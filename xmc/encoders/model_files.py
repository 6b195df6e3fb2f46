"""A model's name by the bytes of its files: where they are the same, so is all that is read from them."""

from __future__ import annotations

from pathlib import Path

from xmc.files import fingerprint_of, sha256_file

__all__ = ["digest_files"]

_OF_READERS = {"README.md", "calibration.json"}
"""What changes without the model: its card, and what scores are said to mean."""


def digest_files(folder: Path) -> str:
    """Sixteen hexadecimal digits of the names and bytes of a model folder's files.

    It takes a small part of the time of `DualEncoder.fingerprint`, which reads what the files hold. Another
    digest says nothing: the same model may have been written in another way.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in _OF_READERS)
    return fingerprint_of(
        part for path in files for part in (path.relative_to(folder).as_posix(), sha256_file(path))
    )
