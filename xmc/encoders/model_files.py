"""A model's name by the bytes of its files: where they are the same, so is all that is read from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from xmc.files import fingerprint_of
from xmc.hashing import sha256_in_background

__all__ = ["KNOWN_MODEL", "digest_files", "digest_in_background", "digested_files"]

KNOWN_MODEL = "known_model.json"
"""In a run's folder: the fingerprint of its model beside the digest of its files."""

_OF_READERS = {"README.md", "calibration.json"}
"""What changes without the model: its card, and what scores are said to mean."""


def digested_files(folder: Path) -> list[Path]:
    """The files of a model folder whose bytes are in its digest, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in _OF_READERS)


def digest_files(folder: Path) -> str:
    """Sixteen hexadecimal digits of the names and bytes of a model folder's files.

    It takes a small part of the time of `DualEncoder.fingerprint`, which reads what the files hold. Another
    digest says nothing: the same model may have been written in another way.
    """
    with digest_in_background(folder) as digest:
        return digest()


@contextmanager
def digest_in_background(folder: Path) -> Iterator[Callable[[], str]]:
    """Begin :func:`digest_files` in threads; what is yielded waits, and gives it."""
    files = digested_files(folder)
    names = [path.relative_to(folder).as_posix() for path in files]
    with sha256_in_background(files) as digest_of:
        yield lambda: fingerprint_of(
            part for name, file in zip(names, files, strict=True) for part in (name, digest_of(file))
        )
